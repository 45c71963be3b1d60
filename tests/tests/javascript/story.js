// Two devices with MQTT.js: what each notices is printed, one line a fact. A story that breaks off ends the process with 1.
//
// Usage: node story.js, with in the environment PLAN, a JSON object:
//   version             3, 4 or 5
//   watcher, device     options of mqtt.connect, each with `url`

'use strict';

const mqtt = require('mqtt');

const TELEMETRY = 'plant/press-01/telemetry/force';
const STATUS = 'plant/press-01/status';

const plan = JSON.parse(process.env.PLAN);

function say(...words) {
  process.stdout.write(words.join(' ') + '\n');
}

function connect({ url, ...options }, more) {
  const protocol = plan.version === 3 ? { protocolId: 'MQIsdp' } : {};
  const fixed = { protocolVersion: plan.version, reconnectPeriod: 0, connectTimeout: 10_000, ...protocol };
  return mqtt.connectAsync(url, { ...fixed, ...options, ...more });
}

// What arrives, to be awaited in order.
function inbox(client) {
  const arrived = [];
  const waiting = [];
  client.on('message', (topic, payload, packet) => {
    const line = `${packet.qos} ${packet.retain ? 'retained' : 'live'} ${topic} ${payload}`;
    const next = waiting.shift();
    if (next) next(line);
    else arrived.push(line);
  });
  return () => (arrived.length ? Promise.resolve(arrived.shift()) : new Promise((next) => waiting.push(next)));
}

function closed(client) {
  return new Promise((done) => client.once('close', done));
}

// The reason code that a refused act is told with, or `accepted`.
async function outcome(act) {
  try {
    await act;
    return 'accepted';
  } catch (error) {
    return `refused ${error.code ?? error.message}`;
  }
}

async function story() {
  const watcher = await connect(plan.watcher);
  const next = inbox(watcher);
  const granted = await watcher.subscribeAsync('plant/+/telemetry/#', { qos: 2 });
  say('granted', granted[0].qos);

  const will = { topic: STATUS, payload: 'gone', qos: 1, retain: false };
  const device = await connect(plan.device, { will });
  for (const qos of [0, 1, 2]) {
    await device.publishAsync(TELEMETRY, `at ${qos}`, { qos });
    say(await next());
  }
  const large = 'x'.repeat(200_000);
  await device.publishAsync(TELEMETRY, large, { qos: 1 });
  say('large', (await next()).endsWith(` ${large}`));

  await device.publishAsync(STATUS, 'up', { qos: 1, retain: true });
  await watcher.subscribeAsync('plant/+/status', { qos: 1 });
  say(await next());
  say('foreign topic', await outcome(device.publishAsync('plant/press-02/cmd/stop', 'x', { qos: 1 })));
  say('foreign filter', await outcome(device.subscribeAsync('secret/#', { qos: 1 })));

  const gone = closed(device);
  device.stream.destroy();
  await gone;
  say(await next());

  const again = await connect(plan.device, { will });
  await again.publishAsync(STATUS, '', { qos: 1, retain: true });
  say(await next());
  await again.endAsync();
  await watcher.unsubscribeAsync('plant/+/status');
  await watcher.endAsync();
  say('done');
}

process.exitCode = 1;
story().then(
  () => {
    process.exitCode = 0;
  },
  (error) => {
    say('failed:', error.message);
    process.exit();
  },
);
