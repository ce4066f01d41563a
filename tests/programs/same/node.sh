# node.sh: nodejs with worker threads: buffers passed between them, JSON, compression and hashing, results compared.
# runs: node
# limit: 60 240
export ROUNDS=$([[ $SIZE == smoke ]] && echo 150 || echo 2500)
cat >work.js <<'JS'
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const { createHash } = require('crypto');
const zlib = require('zlib');

function work(seed, rounds) {
  const hash = createHash('sha256');
  const kept = new Map();
  for (let i = 0; i < rounds; i++) {
    seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
    const size = 100 + seed % 60000;
    const buffer = Buffer.alloc(size, String(seed));
    const packed = zlib.deflateSync(buffer, { level: 1 });
    if (!zlib.inflateSync(packed).equals(buffer)) throw new Error('inflate');
    kept.set(seed % 64, packed);
    hash.update(packed).update(JSON.stringify({ i, seed, list: Array.from({ length: seed % 200 }, (_, k) => k * seed) }));
  }
  for (const key of [...kept.keys()].sort((a, b) => a - b)) hash.update(kept.get(key));
  return hash.digest('hex');
}

if (isMainThread) {
  const rounds = Number(process.env.ROUNDS);
  const one = (n) => new Promise((resolve, reject) => {
    const worker = new Worker(__filename, { workerData: { seed: n, rounds } });
    worker.on('message', ({ digest, bytes }) => resolve(`${n} ${digest} ${createHash('md5').update(bytes).digest('hex')}`));
    worker.on('error', reject);
  });
  (async () => {
    for (let wave = 0; wave < 3; wave++)
      for (const line of await Promise.all([1, 2, 3, 4].map((n) => one(wave * 4 + n)))) console.log(line);
    console.log(work(99, rounds));
  })();
} else {
  const digest = work(workerData.seed, workerData.rounds);
  const bytes = new Uint8Array(1 << 20).fill(workerData.seed);
  parentPort.postMessage({ digest, bytes }, [bytes.buffer]);
}
JS
node work.js
