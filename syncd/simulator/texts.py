# ruff: noqa: RUF001 - letters of every script are what this file is for
"""Made-up words: names, jobs, sentences in many scripts, and texts that break naive programs."""

import random

FIRST_NAMES = (
    "Maria",
    "James",
    "Aisha",
    "Chen",
    "Liam",
    "Sofia",
    "Omar",
    "Priya",
    "Noah",
    "Yuki",
    "Elena",
    "Kwame",
    "Ingrid",
    "Mateo",
    "Fatima",
    "Lucas",
    "Hana",
    "Tomas",
    "Zoe",
    "Ravi",
    "Amara",
    "Diego",
    "Leila",
    "Viktor",
    "Nadia",
    "Samuel",
    "Mei",
    "Andre",
    "Rosa",
    "Emeka",
    "José",
    "Zoë",
    "Łukasz",
    "Søren",
    "Đorđe",
    "Müge",
    "美咲",
    "محمد",
    "Дарья",
    "דוד",
)
INITIALS = "ABCDEFGHIJKLMNOPRSTVWYZ"
COUNTRIES = (
    ("US", "United States"),
    ("ES", "Spain"),
    ("IN", "India"),
    ("KE", "Kenya"),
    ("PH", "Philippines"),
    ("JP", "Japan"),
    ("BR", "Brazil"),
    ("EG", "Egypt"),
    ("TR", "Türkiye"),
    (None, None),
)
PROFILE_TITLES = (
    "Sentiment annotator",
    "Medical image labeler",
    "Bilingual transcriber",
    "Python code reviewer",
    "Native-speaker linguist 🗣️",
    None,
)
JOB_TITLES = (
    "Spanish sentiment labeling",
    "Chest X-ray segmentation",
    "Python code review for model answers",
    "Street scenes: bounding boxes",
    "Arabic call transcription (محادثات)",
    "Rank chatbot answers",
    "日本語の要約を評価する",
    "Legal clause extraction",
    "Hindi handwriting: हस्तलेखन",
    "Podcast speaker diarization",
    "Toxicity review, second pass",
    'Receipts & invoices: "line items", totals',
)
CHANNELS = ("general", "guidelines", "questions", "batch-7", "qa-review", "équipe 🎧")
INBOUND = (
    "Thanks — I can start Monday.",
    "I have finished the first batch, could you take a look?",
    "Is sarcasm labeled as negative or as mixed?",
    "Sure, 20 hours a week works for me.",
    "Could you extend the deadline by one day? My internet was down.",
    "Item 4,312 has no audio. Shall I skip it?",
    "I read the guidelines twice and have questions:\n\n1. Emoji only?\n2. Quotes?\n3. Two languages in one post?",
    "Yes!",
    "ok",
    "The link in the brief answers 404.",
    "What is the rate for overtime? I'd need about $18/h.",
    "Good morning! All 500 items are done, my agreement with gold is 94 %.",
    "Gracias, empiezo mañana mismo.",
    "Merci beaucoup, c'est très clair maintenant.",
    "مرحبا، أنهيت الدفعة الأولى. هل يمكنك مراجعتها؟",
    "שלום, יש לי שאלה על הסעיף השלישי",
    "你好,我已经完成了第一批标注,请查收。",
    "お世話になっております。ガイドラインを確認しました。",
    "नमस्ते, क्या मैं कल से शुरू कर सकता हूँ?",
    "สวัสดีค่ะ งานชุดแรกเสร็จแล้วค่ะ",
    "Здравствуйте! Когда будет следующая партия?",
    "안녕하세요, 첫 번째 배치를 끝냈습니다.",
    "Cafe\u0301 or café? Both occur in the data 🤔",
    "👩🏽‍💻 done, 👨‍👩‍👧‍👦 is one character here, and so is 🏳️‍🌈",
)
OUTBOUND = (
    "Hi there — your interview looked great. Could you start with a 5,000-post batch next week?",
    "Looks good, thank you!",
    "Please label sarcasm by its meaning.",
    "Skip items without audio and tick “broken”.",
    "One more day is fine.",
    "I have sent you the offer.",
    "Could you redo items 200–240? The boxes are too wide.",
    "👍",
    "Yes, overtime is $18/h.",
    "Which hours suit you for a short call?",
)
SYSTEM = (
    "Proposal submitted",
    "Interview completed",
    "Offer sent",
    "Contract started",
    "Milestone “Batch 1” funded",
    "Member joined the channel",
)
TEAM = (
    "We need to schedule interviews for the top candidates this week.",
    "Great résumé! Let's send the technical assessment.",
    "I would rather wait for the second reference.",
    "Salary expectations are above the range, see my notes.",
    "👍",
    "Moved to Thursday 14:00, is that fine for everybody?",
    "Strong on system design,\nless so on testing.",
    "面接の日程を決めましょう。",
)
TEAM_SYSTEM = (
    "Moved from Screening to Interview stage.",
    "Assessment completed with score: 85% (Pass).",
    "Job status changed to published",
    "Offer status changed to accepted",
)
QUESTIONS = (
    "Tell me about your experience labeling sentiment in social media posts.",
    "How would you label a sarcastic review?",
    "What do you do when two guidelines contradict each other?",
    "How do you keep your quality stable over a long day?",
)
ANSWERS = (
    "I spent two years annotating Spanish-language tweets for a sentiment model, including sarcasm.",
    "By what the author means. If the context does not tell, I would mark it as unclear.",
    "I ask, and until there is an answer I follow the more specific one and note the item.",
    "Short breaks, and I relabel ten old items each morning to see whether I still agree with myself.",
    "لدي خبرة ثلاث سنوات في تصنيف النصوص العربية.",
)
SUMMARIES = (
    "Strong grasp of sentiment-labeling edge cases; clear communication; native Spanish speaker.",
    "Careful and honest about limits; little experience with audio.",
    "Short answers; knows the tools well.",
    None,
    "",
)
ODD = (
    "",
    " ",
    "\n\n",
    "\x1b[31mred\x1b[0m and \x1b]0;your title is mine\x07 and \x1b[2J gone",
    "bell\x07 backspace\x08\x08 delete\x7f csi\x9b31m nel\x85 carriage\rreturn\ttab",
    "right-to-left \u202etxt.exe\u202c, isolate \u2067אבג\u2069, zero\u200bwidth, joiner\u200d, bom\ufeff",
    "line\u2028separator and paragraph\u2029separator",
    "Z̸̡̛̭͎͍̑͌̔͝a̷̢̛̱̩̐̄͘l̴̡̧̛͔̓͆g̵̨̛̯̞̈́͝o̶̢̺̍̈́",
    "null undefined NaN None true [object Object] \\u0041 \\n %s %d {0} ${x} {{y}}",
    "'; DROP TABLE messages; -- \" ` <script>alert(1)</script> &amp; </textarea>",
    '=HYPERLINK("http://example.invalid","click")',
    "+1-800 @SUM(A1) -2+3",
    "𝕬𝖑𝖌𝖊𝖇𝖗𝖆 𐍈 🜁 \U0010ffff \ufffd \ufffe",
    "x" * 10_000,
    "語" * 10_000,
    "🧑🏿‍🚀" * 1_400,
    "word " * 2_000,
    "line\n" * 2_000,
)


def masked_name(rng: random.Random) -> str:
    """A first name and an initial, as the API masks names; not unique."""
    return f"{rng.choice(FIRST_NAMES)} {rng.choice(INITIALS)}."
