"""Words of the open tasks, in English and Korean: what is asked for, of what, and what plain demonstrators reply.

A task is open when no answer is the right one: a joke about an animal, a compliment for somebody, a name for a thing.
Topics and wordings are apart by split. Korean adjectives are pairs: before a noun, and before another adjective.
"""

# Words that add colour. Demonstrators and the guidelines (docs/labelling.md) mean the same ones.
COLOUR = {
    "en": (
        "brave",
        "bright",
        "cheerful",
        "clever",
        "funny",
        "gentle",
        "golden",
        "happy",
        "kind",
        "lovely",
        "merry",
        "shiny",
        "silly",
        "sunny",
        "sweet",
        "warm",
    ),
    "ko": (
        *(("용감한", "용감하고"), ("밝은", "밝고"), ("명랑한", "명랑하고"), ("똑똑한", "똑똑하고")),
        *(("재미있는", "재미있고"), ("다정한", "다정하고"), ("따뜻한", "따뜻하고"), ("행복한", "행복하고")),
        *(("친절한", "친절하고"), ("사랑스러운", "사랑스럽고"), ("즐거운", "즐겁고"), ("반짝이는", "반짝이고")),
        *(("멋진", "멋지고"), ("귀여운", "귀엽고"), ("상냥한", "상냥하고"), ("씩씩한", "씩씩하고")),
    ),
}

# [kind]: pairs (English, Korean). The last quarter is for validation and test alone.
TOPICS = {
    "joke": (
        *(("pelican", "펠리컨"), ("penguin", "펭귄"), ("goat", "염소"), ("frog", "개구리"), ("camel", "낙타")),
        *(("duck", "오리"), ("owl", "올빼미"), ("snail", "달팽이"), ("bear", "곰"), ("monkey", "원숭이")),
        *(
            ("turtle", "거북이"),
            ("rabbit", "토끼"),
            ("whale", "고래"),
            ("crab", "게"),
            ("hen", "암탉"),
            ("fox", "여우"),
        ),
    ),
    "compliment": (
        *(("teacher", "선생님"), ("doctor", "의사"), ("nurse", "간호사"), ("baker", "제빵사"), ("farmer", "농부")),
        *(("singer", "가수"), ("driver", "운전사"), ("painter", "화가"), ("gardener", "정원사"), ("cook", "요리사")),
        *(("sister", "동생"), ("friend", "친구"), ("neighbor", "이웃"), ("writer", "작가"), ("pilot", "조종사")),
        ("grandmother", "할머니"),
    ),
    "name": (
        *(("boat", "배"), ("café", "카페"), ("kitten", "고양이"), ("puppy", "강아지"), ("garden", "정원")),
        *(("band", "밴드"), ("bakery", "빵집"), ("team", "팀"), ("bicycle", "자전거"), ("house", "집")),
        *(
            ("horse", "말"),
            ("school", "학교"),
            ("robot", "로봇"),
            ("balloon", "풍선"),
            ("island", "섬"),
            ("train", "기차"),
        ),
    ),
}

# [kind][language]: wordings of the request; the last two are for validation and for test.
REQUESTS = {
    "joke": {
        "en": (
            "Tell me a joke about a {topic}.",
            "Do you know a joke about a {topic}?",
            "I want to hear a joke about a {topic}.",
            "Make a joke about a {topic}, please.",
            "A joke about a {topic}, please!",
            "Make me laugh with a joke about a {topic}.",
            "Can you tell a joke about a {topic}?",
            "Please tell me some joke about a {topic}.",
        ),
        "ko": (
            "{topic}에 대한 농담을 해 줘.",
            "{topic} 농담 하나 들려줘.",
            "{topic} 이야기로 나를 웃겨 줘.",
            "{topic}에 대한 농담을 알아?",
            "{topic} 농담을 해 주세요.",
            "{topic}에 대한 우스운 이야기를 해 줘.",
            "{topic} 농담 하나만 해 줄래?",
            "{topic}에 대한 농담을 하나 들려주세요.",
        ),
    },
    "compliment": {
        "en": (
            "Write a compliment for a {topic}.",
            "Say something nice to a {topic}.",
            "I want to praise a {topic}. What can I say?",
            "Give me a compliment for a {topic}.",
            "How can I praise a {topic}?",
            "What is a nice thing to say to a {topic}?",
            "Can you write a compliment for a {topic}?",
            "Please say something nice to a {topic}.",
        ),
        "ko": (
            "{topic}에게 할 칭찬을 써 줘.",
            "{topic}에게 좋은 말을 해 줘.",
            "{topic}을(를) 칭찬하고 싶어. 뭐라고 할까?",
            "{topic}에게 할 칭찬을 알려 줘.",
            "{topic}을(를) 칭찬해 줘.",
            "{topic}에게 해 줄 좋은 말이 있을까?",
            "{topic}에게 할 칭찬을 써 줄래?",
            "{topic}에게 좋은 말을 해 주세요.",
        ),
    },
    "name": {
        "en": (
            "Give me a name for a {topic}.",
            "What is a good name for a {topic}?",
            "I need a name for my {topic}.",
            "How should I call my {topic}?",
            "Find a name for a {topic}, please.",
            "Do you have an idea for the name of a {topic}?",
            "Can you find a name for my {topic}?",
            "Please give me a good name for a {topic}.",
        ),
        "ko": (
            "{topic} 이름을 지어 줘.",
            "{topic}에 좋은 이름이 뭐야?",
            "내 {topic}의 이름이 필요해.",
            "{topic}을(를) 뭐라고 부를까?",
            "{topic} 이름을 하나 지어 주세요.",
            "{topic} 이름으로 무엇이 좋을까?",
            "내 {topic} 이름을 지어 줄래?",
            "{topic}에 좋은 이름을 지어 주세요.",
        ),
    },
}

# What the animal of a joke did, and why: (English, English, Korean, Korean).
JOKES = (
    ("go to school", "it wanted to be at the top of the food class", "학교에 갔을까요", "급식이 맛있거든요"),
    ("cross the road", "the fish shop was on the other side", "길을 건넜을까요", "건너편에 생선 가게가 있었거든요"),
    ("buy a clock", "it wanted to see time fly", "시계를 샀을까요", "시간이 날아가는 것을 보고 싶었거든요"),
    ("sit on the phone", "it was waiting for a call", "전화기에 앉았을까요", "전화를 기다리고 있었거든요"),
    ("bring a ladder", "it had high hopes", "사다리를 가져왔을까요", "꿈이 높았거든요"),
    ("wear glasses", "it had lost its eye for detail", "안경을 썼을까요", "눈이 높아서 잘 안 보였거든요"),
    ("sleep under the bed", "it was a little beside itself", "침대 밑에서 잤을까요", "침대가 너무 높았거든요"),
    ("take a bath", "it had a dirty joke to wash", "목욕을 했을까요", "썰렁한 농담을 씻고 싶었거든요"),
    ("carry an umbrella", "the jokes were too dry", "우산을 들었을까요", "웃음이 쏟아졌거든요"),
    ("go to the bank", "it had a very large bill", "은행에 갔을까요", "지갑이 배고팠거든요"),
    ("join the band", "it could not beat the drum at home", "밴드에 들어갔을까요", "집에서는 북을 칠 수 없었거든요"),
    ("eat the book", "it was hungry for knowledge", "책을 먹었을까요", "마음의 양식이 필요했거든요"),
)
LAUGH = {"en": "Ha ha", "ko": "하하"}

# Why somebody deserves praise: (English, Korean).
REASONS = (
    ("every day begins better", "하루가 더 좋아져요"),
    ("people learn to smile", "사람들이 웃게 돼요"),
    ("hard things become easy", "어려운 일이 쉬워져요"),
    ("nobody feels alone", "아무도 외롭지 않아요"),
    ("the whole town is in good hands", "온 마을이 든든해요"),
    ("I never want to give up", "저는 포기하지 않게 돼요"),
    ("the morning feels like a holiday", "아침이 휴일 같아요"),
    ("we all have a good example", "우리 모두에게 좋은 본보기가 있어요"),
)

# Names of two words; the words of a language that begin alike make a name that rings.
FIRST_WORDS = {
    "en": (
        "Blue",
        "Little",
        "Morning",
        "Northern",
        "Quiet",
        "Salty",
        "Silver",
        "Swift",
        "Wild",
        "Lucky",
        "Moon",
        "Harbor",
    ),
    "ko": (
        "푸른",
        "작은",
        "아침",
        "하얀",
        "조용한",
        "은빛",
        "달빛",
        "바람",
        "구름",
        "노란",
        "하늘",
        "포근한",
    ),
}
SECOND_WORDS = {
    "en": (
        "Breeze",
        "Button",
        "Lantern",
        "Maple",
        "Nest",
        "Pebble",
        "Star",
        "Song",
        "Wave",
        "Whisper",
        "Heart",
        "Quill",
    ),
    "ko": (
        "별",
        "소리",
        "파도",
        "나무",
        "등불",
        "노래",
        "바다",
        "친구",
        "꽃잎",
        "하루",
        "조약돌",
        "지붕",
    ),
}
