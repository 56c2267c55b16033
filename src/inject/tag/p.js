/* What the browser says of itself, told once: when the page is at rest, or when it goes. The collector judges it. */
(function () {
  'use strict';
  var w = window, d = document, n = navigator, s = w.__cs, told = false, shown = false, facts = {};
  if (!s || !s.p || s.r) return;

  function fact(name, read) { try { facts[name] = read(); } catch (e) { /* not known here */ } }
  function source(f) { return Function.prototype.toString.call(f); }

  function look() {
    fact('agent', function () { return n.userAgent; });
    fact('platform', function () { return n.platform; });
    fact('hint', function () { return n.userAgentData.platform; });
    fact('language', function () { return n.languages[0]; });
    fact('touch', function () { return n.maxTouchPoints || 0; });
    fact('fine', function () { return matchMedia('(any-pointer:fine)').matches; });
    fact('sizes', function () { return [screen.width, screen.height, w.outerWidth, w.outerHeight].map(Math.round); });
    fact('zone', function () { return Intl.DateTimeFormat().resolvedOptions().timeZone; });
    fact('gone', function () { return n.webdriver === undefined; });
    fact('odd', function () {
      var property = Object.getOwnPropertyDescriptor(Navigator.prototype, 'webdriver');
      return Object.getOwnPropertyNames(n).indexOf('webdriver') >= 0 || !!property && !/native code/.test(source(property.get));
    });
    // A handler that hides itself names itself where its disguise fails.
    fact('patched', function () {
      try { return !Object.create(source).toString(); } catch (e) { return /\[as apply\]|(Object|Reflect)\.apply/.test(e.stack); }
    });
  }

  /* A worker is seldom disguised like its page; it draws, too, off the page's thread. */
  function work(then) {
    var text = 'var n=navigator,g,r;try{g=new OffscreenCanvas(1,1).getContext("webgl");r=g.getParameter(g.getExtension("WEBGL_debug_renderer_info").UNMASKED_RENDERER_WEBGL)}catch(e){}' +
      'postMessage([n.userAgent,n.platform,n.language,(n.userAgentData||{brands:[]}).brands.length,r||""])';
    var url = URL.createObjectURL(new Blob([text], { type: 'text/javascript' })), worker = new Worker(url);
    worker.onmessage = function (event) {
      var seen = event.data, brands = n.userAgentData ? n.userAgentData.brands.length : 0;
      facts.worker = seen[0] !== n.userAgent || seen[1] !== n.platform || seen[2] !== n.language || seen[3] !== brands;
      if (seen[4]) facts.software = /swiftshader|llvmpipe|softpipe|basic render/i.test(seen[4]);
      worker.terminate();
      then();
    };
    worker.onerror = then;
    URL.revokeObjectURL(url);
  }

  /* Before the visitor agreed nothing is told but that script ran. */
  function may() { return !told && !/waiting|denied/.test(s.c()); }

  function tell() {
    if (!may()) return;
    told = true;
    facts.visible = shown;
    s.p(facts);
  }

  function rest() {
    if (!may()) return;
    var began = performance.now();
    look();
    // Only where no policy speaks of workers, so that no page reports a breach.
    var free = s.j.w && w.Worker && !d.querySelector('meta[http-equiv="Content-Security-Policy" i]');
    try { if (free) { work(tell); setTimeout(tell, 1500); } else tell(); } catch (e) { tell(); }
    if (s.j.h) [].forEach.call(d.forms, set);
    s.ms = performance.now() - began;
  }

  /* A field that nobody sees; what fills it fills everything. The shop never hears of it. */
  function set(form) {
    if (form.method !== 'post') return;
    var field = d.createElement('input');
    field.name = 'url_' + s.j.p.slice(-6);
    field.tabIndex = -1;
    field.autocomplete = 'off';
    ['aria-hidden', 'data-lpignore', 'data-1p-ignore', 'data-bwignore'].forEach(function (name) { field.setAttribute(name, 'true'); });
    field.style.cssText = 'position:absolute;left:-9999px;width:1px;height:1px;opacity:0';
    form.appendChild(field);
    form.addEventListener('submit', function () {
      if (field.value) s.p({ form: true });
      field.disabled = true;
      setTimeout(function () { field.disabled = false; }, 0);
    }, true);
    form.addEventListener('formdata', function (event) { event.formData.delete(field.name); });
  }

  function visible() {
    if (d.visibilityState !== 'visible' || d.prerendering || shown) return;
    shown = true;
    var idle = function () { w.requestIdleCallback ? requestIdleCallback(rest, { timeout: 2000 }) : setTimeout(rest, 200); };
    if (d.readyState === 'complete') idle(); else addEventListener('load', idle, { once: true });
  }

  s.r = function () { if (may()) { if (!('agent' in facts)) look(); tell(); } };
  d.addEventListener('visibilitychange', visible);
  d.addEventListener('prerenderingchange', visible);
  visible();
})();
