/* clicksieve: gives Pixel calls the id that the server's copy has, and reports them. Stores nothing on the device. */
(function () {
  'use strict';
  var w = window, d = document, s = w.__cs;
  if (!s || s.t) return;
  s.t = 1;

  var j = s.j, page = j.p, token = j.t, policy = j.x, consent = j.c, born = Date.now();
  var collector = location.origin + j.u + '/e';       // not below a `<base>` of another host
  var counts = {}, pixels = [], matches = {}, own = new WeakSet();
  var out = [], timer = 0, retries = 0, resend = [];
  var waiting = [], renewing = 0, stale = false;      // calls that wait for a fresh id
  var undecided = [], revoked = false, pulled = false; // calls and events that wait for consent
  var gated = [], setup = [];                         // what the raw Pixel has not been given yet
  var passing = false, path = location.pathname, LIMIT = 200;

  // The link that nobody sees is for those who run no script: the page is the shop's own again.
  d.querySelectorAll('script[type="text/plain"]').forEach(function (e) { if (e.text.indexOf(j.u + '/' + page) > 0) e.remove(); });

  function keep(list, item) { if (list.length < LIMIT) list.push(item); }
  function quietly(f) { return function () { try { return f.apply(this, arguments); } catch (e) { /* the page goes on */ } }; }
  function raw(target, args) {
    var before = passing, now = w.fbq, self = w;
    // A copy whose queue Meta's script has read by way of another copy: nobody comes back for it.
    if (!target.callMethod && target.queue && now && now.callMethod && now.queue === target.queue) { self = now; target = now.callMethod; }
    passing = true;
    try { target.apply(self, args); } catch (e) { /* the Pixel's own trouble */ }
    passing = before;
  }

  /* Calls of fbq and clicksieve, in order. `target` is the raw fbq, or 0 for clicksieve.track. */
  function call(target, args) {
    if (target && (passing || own.has(args[args.length - 1]))) return void raw(target, args);
    if (target && args[0] === 'consent' && args[1] === 'grant') return void decide('granted', target, args);
    if (renewing) return void keep(waiting, [target, args]);
    if (consent === 'waiting' || consent === 'denied' && !eventful(target, args)) return void keep(undecided, [target, args]);
    if (target && args[0] === 'consent' && args[1] === 'revoke') {
      if (consent === 'granted') { consent = 'denied'; add({ k: 'consent', state: 'denied' }); } else revoked = true;
    }
    take(target, args);
  }

  function eventful(target, args) { return !target || /^track(Single)?(Custom)?$/.test(args[0]); }

  function take(target, args) {
    if (eventful(target, args)) {
      if (consent === 'denied') return;
      if (Date.now() - born > (stale ? 1e4 : 18e5)) { renew(); return void keep(waiting, [target, args]); }
      return void (target ? conversion(target, args) : track(args[0], args[1], args[2]));
    }
    var verb = args[0];
    if (verb === 'init' && args[1]) learn(String(args[1]), args[2]);
    if (verb === 'set' && args[1] === 'userData') (args[3] ? [String(args[3])] : pixels).forEach(function (id) { learn(id, args[2]); });
    if (policy === 'withhold') keep(setup, [target, args]); else raw(target, args);
  }

  /* A track call: gives it an id, mirrors it, and passes it on, keeps it or swallows it. */
  function conversion(target, args) {
    var single = args[0].indexOf('Single') > 0, at = single ? 2 : 1;
    var options = args[at + 2], name = String(args[at]), params = args[at + 1];
    var given = options && (options.eventID || options.eventId);
    var ident = identify(name, params, given);
    if (ident && !given) {
      args = args.slice(0, at + 2);
      while (args.length < at + 2) args.push({});
      args.push(Object.assign({}, options, { eventID: ident.id }));
    }
    else if (options && typeof options === 'object') args = args.slice(0, at + 2).concat(Object.assign({}, options));
    if (args[at + 2] && typeof args[at + 2] === 'object') own.add(args[at + 2]);
    if (ident) mirror(ident, name, params, { leave: 'fired', gate: 'gated' }[policy] || 'withheld', single ? [String(args[1])] : pixels.slice(), single);
    if (policy === 'leave') raw(target, args); else if (policy === 'gate') keep(gated, [target, args]);
  }

  /* The id of an event; none where it would hang on a page id that may have been used before. */
  function identify(name, params, given) {
    var n = counts[name] = (counts[name] || 0) + 1, order = name === 'Purchase' && params && params.order_id;
    if (given) return { id: String(given), n: n, own: true };
    if (typeof order === 'number') order = String(order);
    if (typeof order === 'string' && /^[!-~]{1,126}$/.test(order)) return { id: 'o.' + order, n: n, own: false };
    return stale ? null : { id: n > 1 ? page + '.' + n : page, n: n, own: false };
  }

  function mirror(ident, name, params, pixel, ids, single) {
    var item = { k: 'event', name: name, id: ident.id, n: ident.n, own: ident.own, time: Math.floor(Date.now() / 1000),
      url: location.href, ref: d.referrer, params: plain(params), pixel: pixel, pixels: ids };
    if (single) item.single = true;
    if (revoked) keep(undecided, { token: token, item: item }); else add(item);
  }

  function plain(value) {
    try {
      var text = JSON.stringify(value);
      if (text && text.length < 16e3 && text[0] === '{') return JSON.parse(text);
      return text && text[0] === '{' ? { value: value.value, currency: value.currency, order_id: value.order_id } : {};
    } catch (e) { return {}; }
  }

  function learn(id, data) {
    if (pixels.indexOf(id) < 0 && pixels.length < 20) pixels.push(id);
    data = plain(data);
    if (Object.keys(data).length) matches[id] = Object.assign(matches[id] || {}, data);
  }

  /* clicksieve.track: both halves where the page has a Pixel, else the server's half alone. */
  function track(name, params, options) {
    name = String(name);
    options = options || {};
    if (options.user) learn(pixels[0] || '', options.user);
    var standard = /^(AddPaymentInfo|AddTo(Cart|Wishlist)|CompleteRegistration|Contact|CustomizeProduct|Donate|FindLocation|InitiateCheckout|Lead|PageView|Purchase|S(chedule|earch|tartTrial|ubmitApplication|ubscribe)|ViewContent)$/;
    if (typeof w.fbq === 'function') {
      var args = [standard.test(name) ? 'track' : 'trackCustom', name, params || {}];
      if (options.eventID) args.push({ eventID: options.eventID });
      return void w.fbq.apply(w, args);
    }
    var ident = identify(name, params, options.eventID);
    if (ident) mirror(ident, name, params, 'none', []);
  }

  /* Consent: what waited runs in its order; a refusal keeps what sets the Pixel up and drops the events. */
  function decide(state, target, args) {
    var granted = state === 'granted', known = consent;
    if (known === 'not_required') revoked = !granted;
    else {
      if (known !== state) add({ k: 'consent', state: state });
      consent = state;
    }
    if (!granted) gated = [];
    if (!target && w.fbq && (granted ? pulled : known !== 'waiting')) {
      pulled = !granted;
      raw(w.fbq, ['consent', granted ? 'grant' : 'revoke']);
    }
    undecided.splice(0).forEach(function (each) {
      if (!Array.isArray(each)) { if (granted) add(each.item, each.token); return; }
      // A revocation that waited was the page's preset; the decision stands above it.
      if (granted ? each[1][0] !== 'consent' : !eventful(each[0], each[1])) call(each[0], each[1]);
    });
    if (target) { if (renewing) keep(waiting, [target, args]); else take(target, args); }
  }

  /* The Pixel's policy as the collector last told it. */
  function obey(next) {
    if (next === policy || !/^(leave|gate|withhold)$/.test(next)) return;
    policy = next;
    if (policy === 'withhold') { gated = []; return; }
    setup.splice(0).forEach(function (each) { raw(each[0], each[1]); });
    if (policy === 'leave') gated.splice(0).forEach(function (each) { raw(each[0], each[1]); });
  }

  /* A fresh page id; calls wait for it, two seconds at most. */
  function renew() {
    if (renewing) return;
    flush();
    var mine = renewing = setTimeout(quietly(function () { if (renewing === mine) fresh(null); }), 2000);
    post(JSON.stringify({ t: token, k: [{ k: 'renew' }] })).then(function (answer) {
      if (answer.p && answer.t) fresh(answer, mine);
      else if (renewing === mine) fresh(null);
    }).catch(function () { if (renewing === mine) fresh(null); });
  }

  function fresh(answer, mine) {
    if (answer && renewing !== mine && !stale) return;
    clearTimeout(renewing);
    renewing = 0;
    born = Date.now();
    stale = !answer;
    if (answer) { page = answer.p; token = answer.t; counts = {}; }
    waiting.splice(0).forEach(function (each) { call(each[0], each[1]); });
  }

  /* To the collector: posts of one token each, in order. */
  function add(item, minted) {
    keep(out, [minted || token, item]);
    // Chromium loses much of what a page with a service worker sends as it goes: there nothing waits for company.
    if (!timer) timer = setTimeout(quietly(flush), worked() ? 0 : 50);
  }

  function bodies() {
    var list = [];
    while (out.length) {
      var t = out[0][0], items = [];
      while (out.length && items.length < 20 && out[0][0] === t) items.push(out.shift()[1]);
      if (items.some(function (item) { return item.k === 'event'; })) {
        var at = items.findIndex(function (item) { return item.k === 'event'; });
        items.splice.apply(items, [at, 0].concat(Object.keys(matches).map(function (id) { return { k: 'match', pixel: id, data: matches[id] }; })));
      }
      list.push(JSON.stringify({ t: t, k: items }));
    }
    return list;
  }

  function post(body) {
    return fetch(collector, { method: 'POST', body: body, keepalive: body.length < 3e4, credentials: 'same-origin' }).then(function (reply) {
      if (reply.ok) return reply.json().then(function (answer) { obey(answer.pixel); return answer; });
      var error = new Error('refused');
      error.final = reply.status < 500 && reply.status !== 429;
      error.after = +reply.headers.get('Retry-After') || 0;
      throw error;
    });
  }

  function flush() {
    clearTimeout(timer);
    timer = 0;
    bodies().forEach(function (body) { send(body, 0); });
  }

  function send(body, tries) {
    post(body).catch(function (error) {
      if (error.final || tries > 4) return;
      var entry = { body: body };
      entry.timer = setTimeout(function () {
        resend.splice(resend.indexOf(entry), 1);
        send(body, tries + 1);
      }, Math.min(6e4, Math.max((error.after || 0) * 1e3, 1e3 * Math.pow(2, tries)) * (1 + Math.random() / 4)));
      keep(resend, entry);
    });
  }

  /* The page may go: the browser carries the rest. */
  function leave() {
    resend.splice(0).map(function (entry) { clearTimeout(entry.timer); return entry.body; }).concat(bodies()).forEach(function (body) {
      if (!navigator.sendBeacon || !navigator.sendBeacon(collector, body)) send(body, 4);
    });
  }

  /* Proof that script ran here, and what it saw; nothing in it is kept to tell one browser from another. */
  function prove(facts) {
    add({ k: 'proof', facts: Object.assign({ webdriver: navigator.webdriver === true, interaction: touched }, facts) });
  }

  /* What drivers leave behind: globals, and attributes of the root. */
  function driven() {
    var mark = /^(\$?cdc_|\$chrome_async|__playwright|__pw|__puppeteer|__selenium|_selenium|__webdriver|__driver_|__fxdriver|_phantom|callPhantom|__nightmare|domAutomation|_Selenium_)/;
    return Object.getOwnPropertyNames(w).concat(Object.getOwnPropertyNames(d)).some(function (name) { return mark.test(name); }) ||
      ['webdriver', 'selenium', 'driver'].some(function (name) { return d.documentElement.hasAttribute(name); });
  }

  /* The service worker of the page; a frame that may have none throws. */
  function worked() { try { return navigator.serviceWorker.controller; } catch (e) { return null; } }

  /* Whether a service worker answered, which may have kept the page. Firefox does not say so by `workerStart`. */
  function kept(entry) { return entry.workerStart || !entry.nextHopProtocol && worked(); }

  var signs = ['pointerdown', 'pointermove', 'touchstart', 'keydown', 'wheel'], touched = false, faked = false, moves = 0;
  var felt = quietly(function (event) {
    var type = event.type, mouse = event.pointerType === 'mouse';
    if (!event.isTrusted) {
      if (!touched && !faked && /down|start/.test(type)) { faked = true; prove({ untrusted: true }); }
      return;
    }
    if (type === 'pointermove' && mouse) moves++;
    if (!touched) {
      touched = true;
      var kind = { keydown: 'key', wheel: 'wheel', touchstart: 'touch' }[type] || (event.pointerType === 'touch' ? 'touch' : 'pointer');
      prove({ kind: kind, first: Math.round(performance.now()) });
    }
    // How the pointer came to a click. One that rested where the page opened may still move to the next.
    if (type === 'pointerdown' && mouse && event.button === 0) {
      prove({ moves: moves });
      if (moves > 2) signs.forEach(function (sign) { removeEventListener(sign, felt, true); });
      moves = 0;
    }
  });

  function moved() { if (location.pathname !== path) { path = location.pathname; renew(); } }
  ['pushState', 'replaceState'].forEach(function (name) {
    var native = history[name];
    history[name] = function () {
      var result = native.apply(this, arguments);
      quietly(moved)();
      return result;
    };
  });

  addEventListener('popstate', quietly(moved), true);
  addEventListener('pagehide', quietly(function () { if (renewing > 0) fresh(null); if (s.r) s.r(); leave(); }), true);
  d.addEventListener('visibilitychange', quietly(function () { if (d.visibilityState === 'hidden') leave(); }), true);
  addEventListener('pageshow', quietly(function (event) { if (event.persisted) renew(); }), true);
  signs.forEach(function (sign) { addEventListener(sign, felt, { capture: true, passive: true }); });

  w.clicksieve = {
    track: quietly(function (name, params, options) { call(0, [name, params, options]); }),
    consent: quietly(function (state) { if (state === 'granted' || state === 'denied') decide(state); })
  };
  s.f = quietly(call);
  s.p = quietly(prove);
  s.c = function () { return consent; };

  quietly(function () {
    var entry = performance.getEntriesByType('navigation')[0];
    if (d.prerendering) {
      renewing = -1;
      d.addEventListener('prerenderingchange', quietly(function () { renewing = 0; renew(); }), { once: true });
    } else if (entry && (entry.type === 'back_forward' || kept(entry))) renew();
    var early = w.fbq && !w.fbq.callMethod && w.fbq.queue;
    if (early && early.length) early.splice(0).forEach(function (args) { s.f(w.fbq, [].slice.call(args)); });
    s.q.splice(0).forEach(function (each) { s.f(each[0], [].slice.call(each[1])); });
    setTimeout(quietly(function () { prove({ driver: driven() }); }), 0);
  })();
})();
