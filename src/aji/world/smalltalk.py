"""Tables of the dialogs that are not about facts: small talk, jokes, lists, words to translate and to write.

Nobody is asked here who the assistant is: that is told by a file of facts (`aji.identity`), not by the world.
"""

# [language]: (what the user may say, of which the last is for validation; what the assistant may reply)
SMALL_TALK = {
    "en": (
        (
            ("Hello!", "Hi!", "Hi there!", "Hey!", "Good morning!", "Good evening!", "Hello, aji!", "Hi, aji."),
            ("Hello! How can I help you?", "Hi! What would you like to know?"),
        ),
        (
            ("How are you?", "How are you today?", "Are you well?", "How is it going?", "How do you feel today?"),
            ("I am well, thank you. How can I help you?", "Very well, thank you! What can I do for you?"),
        ),
        (
            (
                "Thank you!",
                "Thanks!",
                "Thanks a lot.",
                "Thank you very much.",
                "That helped, thank you.",
                "Many thanks!",
            ),
            ("You are welcome!", "Happy to help!"),
        ),
        (
            ("Goodbye!", "Bye!", "See you later!", "Take care!", "I have to go now.", "See you tomorrow!"),
            ("Goodbye! Have a nice day.", "See you soon!"),
        ),
        (
            (
                "What can you do?",
                "What can I ask you?",
                "How can you help me?",
                "What are you good at?",
                "What do you know?",
            ),
            ("I can answer questions, add numbers and translate short sentences.",),
        ),
        (
            (
                "I am bored.",
                "I have nothing to do.",
                "This day is so slow.",
                "What should I do today?",
                "I feel bored today.",
            ),
            ("You could read a book or go for a walk. Shall I tell you a joke?",),
        ),
        (
            ("I am tired.", "I slept badly.", "I feel so tired today.", "It was a long day.", "I am very sleepy."),
            ("I am sorry to hear that. A short rest may help.",),
        ),
        (
            (
                "I passed my exam!",
                "I won the game!",
                "Today is my birthday!",
                "I found my lost cat!",
                "I got a new job!",
            ),
            ("Congratulations! I am happy for you.",),
        ),
        (
            ("You are clever.", "You are great!", "I like talking to you.", "Well done!", "Good job!"),
            ("Thank you, that is kind of you.",),
        ),
    ),
    "ko": (
        (
            (
                "안녕!",
                "안녕하세요!",
                "안녕, 아지야.",
                "좋은 아침이야!",
                "반가워!",
                "안녕하세요, 아지.",
                "만나서 반가워요.",
            ),
            ("안녕하세요! 무엇을 도와드릴까요?", "안녕하세요! 무엇이 궁금하세요?"),
        ),
        (
            ("잘 지내?", "오늘 기분이 어때?", "요즘 어떻게 지내?", "잘 지내고 있어요?", "오늘은 좀 어때요?"),
            ("잘 지내고 있어요. 무엇을 도와드릴까요?", "아주 좋아요, 고마워요! 무엇이 궁금하세요?"),
        ),
        (
            (
                "고마워!",
                "고맙습니다.",
                "정말 고마워요.",
                "도움이 됐어, 고마워.",
                "감사합니다!",
                "덕분에 알았어, 고마워!",
            ),
            ("천만에요!", "도움이 되어 기쁩니다!"),
        ),
        (
            ("잘 가!", "다음에 봐!", "이제 가 볼게.", "또 만나!", "안녕히 계세요.", "내일 또 보자!"),
            ("안녕히 가세요. 좋은 하루 보내세요!", "다음에 또 만나요!"),
        ),
        (
            ("뭘 할 수 있어?", "무엇을 물어봐도 돼?", "어떻게 도와줄 수 있어?", "뭘 잘해?", "무엇을 알고 있어?"),
            ("질문에 답하고, 수를 더하고, 짧은 문장을 번역할 수 있어요.",),
        ),
        (
            ("심심해.", "할 일이 없어.", "오늘은 시간이 안 가.", "오늘 뭐 하지?", "오늘은 너무 심심해."),
            ("책을 읽거나 산책을 해 보세요. 농담을 하나 들려드릴까요?",),
        ),
        (
            ("피곤해.", "잠을 잘 못 잤어.", "오늘 너무 피곤해.", "긴 하루였어.", "너무 졸려."),
            ("힘드셨겠어요. 잠깐 쉬면 나아질 거예요.",),
        ),
        (
            (
                "시험에 붙었어!",
                "경기에서 이겼어!",
                "오늘이 내 생일이야!",
                "잃어버린 고양이를 찾았어!",
                "새 직장을 구했어!",
            ),
            ("축하해요! 정말 기쁜 소식이네요.",),
        ),
        (
            ("너 똑똑하다.", "너 대단해!", "너랑 이야기하는 게 좋아.", "잘했어!", "정말 잘하네!"),
            ("고마워요, 친절한 말씀이네요.",),
        ),
    ),
}
GREETING, THANKS, GOODBYE = 0, 2, 3  # the entries of SMALL_TALK that open and end a conversation

JOKE_REQUESTS = {
    "en": ("Tell me a joke.", "Do you know a joke?", "Make me laugh.", "A joke, please!", "Say something funny."),
    "ko": (
        "농담 하나 해 줘.",
        "재미있는 얘기 해 줘.",
        "나 좀 웃겨 줘.",
        "농담을 들려주세요.",
        "웃긴 이야기 하나 해 줘.",
    ),
}
ANOTHER_JOKE = {
    "en": ("Another one!", "One more, please.", "Another joke, please."),
    "ko": ("하나 더!", "하나만 더 해 줘.", "농담 하나 더 해 줘."),
}
JOKES = {
    "en": (
        "Why did the book go to the doctor? It had a broken spine.",
        "What do you call a bear without teeth? A gummy bear.",
        "Why is six afraid of seven? Because seven ate nine.",
        "What has four legs but cannot walk? A table.",
        "Why did the bicycle fall over? It was two-tired.",
        "What gets wet while it dries? A towel.",
        "Why do bees have sticky hair? They use honeycombs.",
        "What do you call cheese that is not yours? Nacho cheese.",
    ),
    "ko": (
        "왕이 넘어지면 뭐라고 할까요? 킹콩!",
        "세상에서 가장 뜨거운 과일은? 천도복숭아!",
        "소가 웃는 소리를 세 글자로 하면? 우하하!",
        "딸기가 직장을 잃으면? 딸기 시럽!",
        "자동차를 톡 하고 치면? 카톡!",
        "얼음이 죽으면? 다이빙!",
        "세상에서 가장 가난한 왕은? 최저임금!",
        "아몬드가 죽으면? 다이아몬드!",
    ),
}

# [language]: name of the list -> members. "{count}" and "{name}" in the requests; the last is for validation.
LISTS = {
    "en": {
        "planets": "Mercury,Venus,Earth,Mars,Jupiter,Saturn,Uranus,Neptune",
        "colours": "red,blue,green,yellow,white,black,purple",
        "fruits": "apples,pears,grapes,oranges,bananas,cherries,peaches",
        "vegetables": "carrots,onions,potatoes,cucumbers,spinach,pumpkins",
        "farm animals": "cows,pigs,horses,sheep,goats,chickens",
        "wild animals": "tigers,lions,bears,wolves,foxes,elephants",
        "birds": "eagles,owls,swans,crows,penguins,parrots",
        "musical instruments": "the piano,the violin,the flute,the guitar,the drum,the trumpet",
        "sports": "football,tennis,swimming,basketball,running,skiing",
        "days of the week": "Monday,Tuesday,Wednesday,Thursday,Friday,Saturday,Sunday",
        "months": "January,March,May,July,September,November,December",
        "seasons": "spring,summer,autumn,winter",
        "drinks": "water,milk,tea,coffee,orange juice",
        "metals": "iron,gold,silver,copper,tin,lead",
        "school subjects": "mathematics,history,music,science,art,English",
        "pieces of furniture": "a table,a chair,a bed,a desk,a shelf",
    },
    "ko": {
        "행성": "수성,금성,지구,화성,목성,토성,천왕성,해왕성",
        "색깔": "빨강,파랑,초록,노랑,하양,검정,보라",
        "과일": "사과,배,포도,오렌지,바나나,체리,복숭아",
        "채소": "당근,양파,감자,오이,시금치,호박",
        "가축": "소,돼지,말,양,염소,닭",
        "야생 동물": "호랑이,사자,곰,늑대,여우,코끼리",
        "새": "독수리,올빼미,백조,까마귀,펭귄,앵무새",
        "악기": "피아노,바이올린,플루트,기타,북,트럼펫",
        "운동": "축구,테니스,수영,농구,달리기,스키",
        "요일": "월요일,화요일,수요일,목요일,금요일,토요일,일요일",
        "달 이름": "1월,3월,5월,7월,9월,11월,12월",
        "계절": "봄,여름,가을,겨울",
        "음료": "물,우유,차,커피,오렌지 주스",
        "금속": "철,금,은,구리,주석,납",
        "과목": "수학,역사,음악,과학,미술,영어",
        "가구": "책상,의자,침대,탁자,책장",
    },
}
LIST_REQUESTS = {
    "en": (
        "Name {count} {name}.",
        "Can you name {count} {name}?",
        "List {count} {name}.",
        "Give me {count} {name}, please.",
        "Tell me {count} {name}.",
    ),
    "ko": (
        "{name} {count} {unit}만 말해 줘.",
        "{name}을(를) {count} {unit} 알려 줘.",
        "{name}을(를) {count} {unit} 말해 주세요.",
        "{name} 중에서 {count} {unit}만 알려 주세요.",
        "{name}의 예를 {count} {unit} 들어 줘.",
    ),
}
COUNTRIES_IN = {"en": "countries in {continent}", "ko": "{continent}에 있는 나라"}
UNITS = {"things": "가지", "countries": "곳"}  # Korean counts countries as places
COUNTS = {"en": {2: "two", 3: "three", 4: "four"}, "ko": {2: "두", 3: "세", 4: "네"}}
ONE_MORE = {
    "en": ("One more?", "And one more?", "Can you name one more?"),
    "ko": ("하나 더?", "하나만 더 말해 줘.", "하나 더 말해 줄래?"),
}

# Pairs (English, Korean) that are each other's translation.
WORDS = (
    *(("water", "물"), ("fire", "불"), ("tree", "나무"), ("flower", "꽃"), ("mountain", "산"), ("river", "강")),
    *(("sea", "바다"), ("sky", "하늘"), ("star", "별"), ("moon", "달"), ("house", "집"), ("school", "학교")),
    *(("book", "책"), ("friend", "친구"), ("mother", "어머니"), ("father", "아버지"), ("teacher", "선생님")),
    *(("apple", "사과"), ("bread", "빵"), ("rice", "밥"), ("milk", "우유"), ("dog", "개"), ("cat", "고양이")),
    *(("tiger", "호랑이"), ("bird", "새"), ("fish", "물고기"), ("horse", "말"), ("snow", "눈"), ("rain", "비")),
    *(
        ("wind", "바람"),
        ("morning", "아침"),
        ("evening", "저녁"),
        ("today", "오늘"),
        ("love", "사랑"),
        ("time", "시간"),
    ),
    *(("music", "음악"), ("song", "노래"), ("train", "기차"), ("city", "도시"), ("king", "왕"), ("island", "섬")),
)
SENTENCES = (
    ("I am hungry.", "저는 배가 고픕니다."),
    ("It is raining today.", "오늘은 비가 옵니다."),
    ("The sky is blue.", "하늘은 파랗습니다."),
    ("I like music.", "저는 음악을 좋아합니다."),
    ("My friend lives in Seoul.", "제 친구는 서울에 삽니다."),
    ("Where is the school?", "학교는 어디에 있습니까?"),
    ("The cat sleeps on the chair.", "고양이가 의자에서 잡니다."),
    ("I read a book every day.", "저는 매일 책을 읽습니다."),
    ("The train leaves in the morning.", "기차는 아침에 떠납니다."),
    ("Thank you for your help.", "도와주셔서 감사합니다."),
    ("Nice to meet you.", "만나서 반갑습니다."),
    ("The water is cold.", "물이 차갑습니다."),
    ("I drink milk in the morning.", "저는 아침에 우유를 마십니다."),
    ("The moon is bright tonight.", "오늘 밤은 달이 밝습니다."),
    ("My mother is a teacher.", "제 어머니는 선생님입니다."),
    ("We go to the sea in summer.", "우리는 여름에 바다에 갑니다."),
    ("The apple is red.", "사과는 빨갛습니다."),
    ("I love you.", "사랑합니다."),
)

# How a word and a sentence are asked for, in the language of the asker; the last of each is for validation.
WORD_REQUESTS = {
    "en": (
        'How do you say "{text}" in Korean?',
        'What is "{text}" in Korean?',
        'Translate "{text}" into Korean.',
        'What is the Korean word for "{text}"?',
        'Which word is "{text}" in Korean?',
    ),
    "ko": (
        '"{text}"은(는) 영어로 뭐야?',
        '"{text}"을(를) 영어로 어떻게 말해?',
        '"{text}"을(를) 영어로 번역해 줘.',
        '영어로 "{text}"은(는) 뭐라고 해요?',
        '"{text}"은(는) 영어로 뭐라고 해?',
    ),
}
WORD_REPLIES = {
    "en": '"{text}" is "{translation}" in Korean.',
    "ko": '"{text}"은(는) 영어로 "{translation}"입니다.',
}
SENTENCE_REQUESTS = {
    "en": (
        "Translate into Korean: {text}",
        "Say this in Korean: {text}",
        "How do you say this in Korean? {text}",
        "In Korean, please: {text}",
        "Put this into Korean: {text}",
    ),
    "ko": (
        "영어로 번역해 줘: {text}",
        "이 문장을 영어로 말해 줘: {text}",
        "영어로 바꿔 주세요: {text}",
        "영어로 어떻게 말해? {text}",
        "다음을 영어로 옮겨 줘: {text}",
    ),
}

# Exercises on the written form: (requests, the last for validation; what is done with the word).
FORMATS = {
    "en": (
        (
            (
                'Write "{text}" in capital letters.',
                'Put "{text}" in capitals.',
                '"{text}" in capital letters, please.',
            ),
            "capitals",
        ),
        (('Spell "{text}".', 'How do you spell "{text}"?', 'Spell the word "{text}", please.'), "spell"),
        (('Write "{text}" twice.', 'Say "{text}" two times.', 'Repeat "{text}" two times.'), "twice"),
        (
            (
                'What is the first letter of "{text}"?',
                'Which letter does "{text}" begin with?',
                'First letter of "{text}"?',
            ),
            "first",
        ),
        (
            (
                'Say the digits of "{text}" one by one.',
                'Read out "{text}" digit by digit.',
                '"{text}" digit by digit, please.',
            ),
            "digits",
        ),
    ),
    "ko": (
        (('"{text}"을(를) 두 번 써 줘.', '"{text}"을(를) 두 번 말해 줘.', '"{text}" 두 번 써 주세요.'), "twice"),
        (
            ('"{text}"을(를) 한 글자씩 써 줘.', '"{text}"을(를) 한 글자씩 말해 줘.', '"{text}" 한 글자씩 써 주세요.'),
            "spell",
        ),
        (('"{text}"의 첫 글자는 뭐야?', '"{text}"은(는) 어떤 글자로 시작해?', '"{text}" 첫 글자가 뭐야?'), "first"),
        (
            (
                '"{text}"의 숫자를 하나씩 말해 줘.',
                '"{text}"의 숫자를 하나씩 써 줘.',
                '"{text}" 숫자 하나씩 써 주세요.',
            ),
            "digits",
        ),
    ),
}
