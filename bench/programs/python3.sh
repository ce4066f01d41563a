# python3.sh: records made, written as JSON, read back, grouped and sorted in CPython.
# needs: python3
exec /usr/bin/python3 - <<'PYTHON'
import json, random, re
random.seed(7)
def record(i):
    return {"id": i, "name": "n" * random.randrange(4, 60), "tags": [str(random.random()) for _ in range(random.randrange(8))],
            "at": (i, i * 1.5, None), "text": "ab %d " % i * random.randrange(40)}
total = 0
for phase in range(3):
    records = [record(i) for i in range(20_000)]
    text = json.dumps(records)
    back = json.loads(text)
    words = {}
    for r in back:
        for word in re.findall(r"\d+", r["text"]):
            words.setdefault(word, []).append(r["id"])
    back.sort(key=lambda r: r["text"])
    total += len(text) + len(words)
    kept = random.sample(records, 500)
print(total)
PYTHON
