import asyncio
from tests.sync.test_resume import *
async def test_x(open_bench):
    bench = await open_bench({"REVENTO__PAGE_SIZE": "10"}, participants=30)
    await bench.add()
    assert await Cancelling(after=3).run(bench) is None
    print("POS", bench.query("select * from syncd.positions where stream='participants'"))
    for c in bench.calls(): print("CALL",c['n'],c['endpoint'],c['query'][-12:],c['status'], c['duration_ms'])
    print("--")
    result = await bench.sync()
    for c in bench.calls(): print("CALL",c['n'],c['endpoint'],c['query'][-12:],c['status'], c['duration_ms'])
    assert 0
