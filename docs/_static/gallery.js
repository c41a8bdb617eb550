// The filter of the gallery. Without this script all cards are shown and the form stays hidden.
(function () {
  function start() {
    var form = document.querySelector("form.gallery-filter");
    if (!form) return;
    var cards = Array.prototype.slice.call(document.querySelectorAll("ul.gallery > li"));
    var told = form.querySelector("output");
    var fields = ["word", "task", "family", "library"];

    function fits(card, wanted) {
      var words = wanted.word.toLowerCase().split(/\s+/).filter(Boolean);
      var has = function (name) {
        return !wanted[name] || card.dataset[name].split("|").indexOf(wanted[name]) >= 0;
      };
      return has("task") && has("family") && has("library") &&
        words.every(function (word) { return card.dataset.words.indexOf(word) >= 0; });
    }

    function show() {
      var wanted = {};
      fields.forEach(function (name) { wanted[name] = form.elements[name].value; });
      var shown = cards.filter(function (card) { return !(card.hidden = !fits(card, wanted)); }).length;
      told.textContent = shown + " of " + cards.length + " losses";
      var query = fields.filter(function (name) { return wanted[name]; }).map(function (name) {
        return name + "=" + encodeURIComponent(wanted[name]);
      }).join("&");
      history.replaceState(null, "", "#" + query);  // so that a filtered list can be linked to
    }

    location.hash.slice(1).split("&").forEach(function (pair) {
      var parts = pair.split("="), field = form.elements[parts[0]];
      if (fields.indexOf(parts[0]) >= 0 && field) field.value = decodeURIComponent(parts[1] || "");
    });
    form.hidden = false;
    form.addEventListener("input", show);
    form.addEventListener("reset", function () { setTimeout(show); });
    form.addEventListener("submit", function (event) { event.preventDefault(); });
    show();
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
