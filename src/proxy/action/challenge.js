(function (d, l, s) {
  var sealed = s.s, kind = s.k, tail = sealed.slice(-24);
  function show(id) {
    d.getElementById('wait').hidden = true;
    d.getElementById(id).hidden = false;
  }
  // A reload keeps address, fragment and history as they are.
  function leave(answer) {
    if (kind != 'refresh')
      d.cookie = '_cs_a=' + sealed + '.' + answer + ';path=/;max-age=120;samesite=lax' + (l.protocol == 'https:' ? ';secure' : '');
    if (d.cookie.indexOf(sealed) < 0) show('cookies');
    else l.reload();
  }
  function zeros(bytes) {
    for (var n = 0, i = 0, lead; i < bytes.length; i++) {
      lead = Math.clz32(bytes[i]) - 24;
      n += lead;
      if (lead < 8) break;
    }
    return n;
  }
  function pow(from) {
    var tries = [], i, words = new TextEncoder();
    for (i = 0; i < 256; i++) tries.push(crypto.subtle.digest('SHA-256', words.encode(tail + ':' + (from + i))));
    Promise.all(tries).then(function (found) {
      for (i = 0; i < 256; i++) if (zeros(new Uint8Array(found[i])) >= s.b) return leave(from + i);
      setTimeout(pow, 0, from + 256);
    });
  }
  addEventListener('load', function () {
    setTimeout(function () {
      if (kind == 'pow') pow(0);
      else leave(tail.split('').reverse().join(''));
    });
  });
})(document, location, document.currentScript.dataset);
