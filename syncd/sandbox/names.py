"""Word lists of the sandbox world: names in many scripts, titles, and words for forms."""

from __future__ import annotations

# (given names, family names) per script; one name never mixes scripts, as in a real crowd.
PEOPLE: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("Anna", "Mark", "Julia", "Tom", "Sara", "Leo"), ("Smith", "Brown", "Keller", "Rossi", "O'Neill", "van der Berg")),
    (
        ("Łukasz", "Żaneta", "Świętosława", "Jędrzej", "Agnieszka"),
        ("Wójcik", "Żółkiewski", "Brzęczyszczykiewicz", "Ćma"),
    ),
    (
        ("Zoë", "François", "Jürgen", "Søren", "Núria", "Đorđe"),
        ("Müller", "Ångström", "Peña", "Dvořák", "Șerban", "Ğül"),
    ),
    (("محمد", "فاطمة", "يوسف", "ليلى"), ("الحسن", "بن علي", "المصري", "القحطاني")),
    (("דוד", "שָׂרָה", "יעל", "נועם"), ("כהן", "לוי", "בן־דוד", "אברהם")),
    (("小明", "美玲", "太郎", "さくら", "민준", "서연"), ("王", "李", "山田", "佐藤", "김", "이")),
    (("สมชาย", "กัญญา", "ณัฐวุฒิ", "พิมพ์ชนก"), ("ใจดี", "ศรีสุข", "วงศ์สวัสดิ์")),
    (("Олена", "Дмитро", "Нада", "Ελένη", "Γιώργος"), ("Шевченко", "Петровић", "Παπαδοπούλου")),
    (("🦊 Fox", "Max 🎲", "👩‍👩‍👧 Kim", "R2-D2 🤖"), ("🏳️‍🌈", "⚔️ Knight", "of the 🌙")),
    # Combining marks (NFD), a zero-width joiner, and a name that looks like a formula.
    (
        ("Jose\u0301", "Zoe\u0308", "Nin\u0303o", "A\u030angela"),
        ("Ngu\u0302ye\u0302\u0303n", "=SUM(1)", "a\u200db", "D'Arc, Jr."),
    ),
)
NICKNAMES = ("Raven", "Ćma", "龍", "Pixel", "צל", "Bǫ́", "🐉", "null", "O'Mally", "  spaced  ", "Żuk")
ORGANISATIONS = (
    "Dragon Guild",
    "Klub Fantastyki „Świt”",
    "株式会社サンプル",
    "جمعية الألعاب",
    "Müller & Söhne",
    "Ludus, Inc.",
)
NOTES = ("Called on Monday; wants a table near the door.", "VIP", "Line one\nline two\ttabbed", "⚠️ allergies: nuts", "")
ROLES = (
    ("role_attendee", "Attendee", "Takes part in the event"),
    ("role_organizer", "Organizer", "Runs the event"),
    ("role_staff", "Staff", "Helps on site"),
    ("role_npc", "NPC", "Plays a part written by the organizers"),
)
CUSTOM_ROLES = ("Mistrz Gry", "Press 📰", "ผู้ชม", "Cosplayer", "אמן")
THREADS = (
    ("Main Hall", "auditorium", "#2ED75A"),
    ("RPG", "dice", "#7A3FF2"),
    ("LARP Forest", "tree", "#1B7F4B"),
    ("Prelekcje", "microphone", "#DCA041"),
    ("ワークショップ", "tools", "#3F8CF2"),
    ("Kids & Family", "balloon", "#F23F8C"),
)
TITLES = (
    "Opening Ceremony", "Call of the Deep", "Wstęp do mistrzowania", "Miniature painting", "入門ドイツ式ボードゲーム",
    "Ghost story night 👻", "Worldbuilding with maps", "Żywe legendy", "مسابقة الألغاز", "Sword & Board", "Late coffee",
)  # fmt: skip
ACTIVITY_TYPES = ("rpg_session", "lecture", "workshop", "competition", "discussion", "LARP", "other", "break")
MARKERS = (
    ("mkr_kids", "Kids-friendly", "#DCA041"),
    ("mkr_advanced", "Advanced", "#B00020"),
    ("mkr_english", "In English", "#3F8CF2"),
    ("mkr_18", "18+", "#000000"),
)
WAVES = (
    ("Early birds", "finished"),
    ("Friday morning", "started"),
    ("Saturday morning", "scheduled"),
    ("Withdrawn wave", "canceled"),
    ("Last places", "scheduled"),
)
EVENTS = ("Sample Convention", "Pyrkonik Żywioł", "星祭り", "Dragon Days", "Nordic Larp Weekend", "لقاء الألعاب")
CITIES = ("Poznań", "Sample City", "Århus", "京都", "תל אביב")
OPERATING_HOURS = (
    "08:00-22:00",
    "10:00-18:00",
    "22:00-02:00",
    "24/7",
    "by appointment",
    "9-5, closed for lunch",
    "",
    "08:00–20:00",
)
AMENITIES = ("projector", "wifi", "power", "wheelchair access", "stół 6-os.", "water")
TRACKS = ("RPG", "LARP", "Board games", "Prelekcje", "コスプレ")
DIETS = ("Vegetarian", "Vegan", "none", "bez orzechów", "حلال", "כשר")
DAYS = ("Friday", "Saturday", "Sunday")
