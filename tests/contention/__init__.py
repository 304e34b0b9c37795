"""Eight processes that contend for the budgets of two tokens, before a sandbox that counts.

`python -m tests.contention` plays an hour at sixty times the speed, with latencies of up to one and of up to five
seconds, and five minutes in real time; it prints what each token was worth.
"""
