// One Chromium driven by Puppeteer: `puppeteer.mjs MODE AGENT URL`; AGENT `-` keeps the browser's own.
import puppeteer from 'puppeteer-core';

const [mode, agent, url] = process.argv.slice(2);
const pause = () => new Promise((done) => setTimeout(done, 6000));
const browser = await puppeteer.launch({
  executablePath: '/usr/bin/chromium',
  headless: mode === 'headless',
  acceptInsecureCerts: true,
  args: ['--no-sandbox', '--disable-gpu'],
});
try {
  const page = await browser.newPage();
  if (agent !== '-') await page.setUserAgent({ userAgent: agent });
  await page.goto(url);
  await pause();
  await page.click('#product');
  await pause();
} finally {
  await browser.close();
}
