// Two pages by Node's own `fetch`: `fetch.mjs AGENT URL`; AGENT `-` sends Node's own.
const [agent, url] = process.argv.slice(2);
const headers = agent === '-' ? {} : { 'user-agent': agent, 'accept-language': 'en-US,en;q=0.9' };
for (const each of [url, new URL('/product/1', url)]) await (await fetch(each, { headers })).text();
