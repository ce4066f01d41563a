# nodejs.sh: objects, JSON, Maps, buffers and zlib in node.
# needs: nodejs
exec node - <<'JS'
const zlib = require('zlib');
let seed = 7, total = 0;
const step = n => (seed = (seed * 1103515245 + 12345) % 2147483648) % n;
for (let phase = 0; phase < 9; ++phase) {
  const records = Array.from({length: 40000}, (_, id) => (
    {id, name: 'n'.repeat(step(40)), tags: Array.from({length: step(8)}, () => `tag${step(1000)}`)}));
  const text = JSON.stringify(records);
  const groups = new Map();
  for (const r of JSON.parse(text)) groups.set(r.name, [...(groups.get(r.name) || []).slice(-50), r]);
  for (let i = 0; i < 400; ++i) {
    const part = Buffer.from(text.slice(i * 1000, i * 1000 + 8000));
    total += zlib.inflateSync(zlib.deflateSync(part)).length;
  }
  const buffers = Array.from({length: 20000}, () => Buffer.alloc(step(4000) + 1, 'x'));
  total += text.length + groups.size + buffers.reduce((sum, b) => sum + b.length, 0);
}
console.log(total);
JS
