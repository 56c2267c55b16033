/* Draws what the demo's server knows, once a second. Text goes in as text, never as markup. */
'use strict';
const at = (id) => document.getElementById(id);
const chip = (text, kind) => { const c = document.createElement('span'); c.className = 'chip ' + kind; c.textContent = text; return c; };
const code = (text) => { const c = document.createElement('code'); c.textContent = text.length > 26 ? text.slice(0, 12) + '…' + text.slice(-10) : text; c.title = text; return c; };
const clock = (time) => new Date(time).toLocaleTimeString([], { hour12: false });
const row = (cells) => {
  const line = document.createElement('tr');
  for (const [kind, content] of cells) {
    const cell = document.createElement('td');
    cell.className = kind;
    cell.append(content);
    line.append(cell);
  }
  return line;
};
const BANDS = { human: 'good', suspect: 'wait', likely_invalid: 'bad', invalid: 'bad' };
const KINDS = { forward: 'good', leave: 'good', modify: 'wait', hold: 'wait', gate: 'wait', suppress: 'bad', withhold: 'bad' };
/* What became of it, by the decision's or the Pixel policy's name. */
const DONE = { hold: 'held', suppress: 'suppressed', modify: 'modified', withhold: 'withheld', gate: 'waiting' };
const word = (value) => typeof value === 'string' ? value : value && (value.rule || value.id || value.signal || value.name || value.action) || '';

function merge(state) {
  const rows = new Map();
  const place = (name, id, time) => {
    const key = name + ' ' + (id || 'none ' + time);
    if (!rows.has(key)) rows.set(key, { name, id, time, pixel: 0, server: 0 });
    const found = rows.get(key);
    found.time = Math.min(found.time, time);
    return found;
  };
  for (const hit of state.pixel) place(hit.event, hit.eventID, hit.time).pixel += 1;
  for (const event of state.server) place(event.event_name, event.event_id, event.at).server += 1;
  const told = new Map();
  for (const record of state.records) if (record.type !== 'event' && !told.has(record.visit_id)) told.set(record.visit_id, word(record.pixel));
  for (const record of state.records) if (record.type === 'event' && record.source) {
    const found = place(record.event_name || '', record.event_id, Date.parse(record.time));
    const decision = word(record.decision);
    if (decision !== 'copy' && !found.decision) found.decision = decision;
    if (!found.told) found.told = told.get(record.visit_id);
  }
  return [...rows.values()].sort((a, b) => b.time - a.time);
}

const times = (n) => n > 1 ? ' ' + n + ' times' : '';
function half(count, done, otherwise) {
  if (count) return chip(done + times(count), count > 1 ? 'bad' : 'good');
  return DONE[otherwise] ? chip(DONE[otherwise], KINDS[otherwise]) : chip('not seen', '');
}

function drawEvents(rows) {
  at('events').replaceChildren(...rows.slice(0, 150).map((event) => {
    const matched = event.pixel === 1 && event.server === 1;
    const mark = document.createElement('span');
    mark.className = matched ? 'tick' : 'faint';
    mark.textContent = matched ? '✓ one event' : event.pixel + event.server === 1 ? 'one half' : event.pixel + event.server ? 'check' : 'not counted';
    const name = document.createElement('strong');
    name.textContent = event.name;
    return row([['time', clock(event.time)], ['', name], ['', event.id ? code(event.id) : chip('none', '')],
      ['', half(event.pixel, 'fired', event.told)], ['', half(event.server, 'accepted', event.decision)], ['', mark]]);
  }));
  at('no-events').classList.toggle('hidden', rows.length > 0);
  at('n-matched').textContent = rows.filter((e) => e.pixel && e.server).length;
  at('n-pixel').textContent = rows.filter((e) => e.pixel && !e.server).length;
  at('n-server').textContent = rows.filter((e) => !e.pixel && e.server).length;
  at('n-stopped').textContent = rows.filter((e) => !e.server && e.decision && e.decision !== 'forward').length;
}

function drawRecords(records) {
  at('records').replaceChildren(...records.slice(0, 60).map((record) => {
    const band = word(record.class) === 'skip' ? 'skip' : word(record.band);
    const sent = record.type === 'event' && !record.source;
    const what = record.type !== 'event' ? record.type + ' ' + (record.url || '').replace(/^https?:\/\/[^/]*/, '')
      : record.event_name + (sent ? ' to ' + record.destination : ' from the ' + record.source);
    const why = (record.reasons || []).map(word).join(', ') || (sent ? [record.outcome, record.attempt > 1 ? 'attempt ' + record.attempt : ''].filter(Boolean).join(', ') : 'nothing against it');
    const verdict = band ? chip(band.replace('_', ' ') + (record.score === undefined ? '' : ' ' + record.score), BANDS[band] || '') : chip('–', '');
    const decision = word(record.decision || record.action).toLowerCase();
    const pixel = record.pixel && record.type !== 'event' ? ' · Pixel ' + word(record.pixel) : '';
    return row([['time', clock(Date.parse(record.time))], ['', what.slice(0, 70)], ['', verdict],
      ['', chip((decision || 'seen') + pixel, KINDS[decision] || '')], ['why', why]]);
  }));
  at('no-records').classList.toggle('hidden', records.length > 0);
}

let drawn = '';
async function draw() {
  try {
    const text = await (await fetch('/state.json', { cache: 'no-store' })).text();
    if (text !== drawn) {
      drawn = text;
      const state = JSON.parse(text);
      at('links').replaceChildren(...state.links.map(([name, url]) => { const a = document.createElement('a'); a.href = url; a.textContent = name; return a; }));
      drawEvents(merge(state));
      drawRecords(state.records);
    }
  } catch (error) { /* the demo ended or is not up yet; the next second tells */ }
  setTimeout(draw, 1000);
}
draw();
