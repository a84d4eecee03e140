(function () {
  var table = document.getElementById("candidates");
  var heads = Array.from(table.tHead.rows[0].cells);
  function value(row, column) {
    var text = row.cells[column].textContent;
    var number = Number(text);
    return text === "" ? null : Number.isNaN(number) ? text : number;
  }
  function compare(a, b) {
    if (typeof a === typeof b) {
      return a < b ? -1 : a > b ? 1 : 0;
    }
    return typeof a === "number" ? -1 : 1;
  }
  // A page that loads itself again keeps its order, its place and what is open; some browsers have no storage for files.
  var key = "sweep " + location.pathname;
  var state = {};
  try { state = JSON.parse(sessionStorage.getItem(key)) || {}; } catch (e) { state = {}; }
  function store() {
    try { sessionStorage.setItem(key, JSON.stringify(state)); } catch (e) { return; }
  }
  function sort(column, sign) {
    var head = heads[column];
    heads.forEach(function (other) { other.removeAttribute("aria-sort"); });
    head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
    var body = table.tBodies[0];
    Array.from(body.rows).sort(function (one, other) {
      var a = value(one, column);
      var b = value(other, column);
      if (a === null || b === null) {
        return (a === null) - (b === null);
      }
      return sign * compare(a, b);
    }).forEach(function (row) { body.appendChild(row); });
  }
  heads.forEach(function (head, column) {
    head.firstElementChild.addEventListener("click", function () {
      var sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      sort(column, sign);
      state.order = [column, sign];
      store();
    });
  });
  if (state.order && heads[state.order[0]]) {
    sort(state.order[0], state.order[1]);
  }

  // What a reader points at, or tabs to, is told below the plot.
  var told = false;
  Array.from(document.querySelectorAll(".hover")).forEach(function (mark) {
    var figure = mark;
    while (figure.tagName.toLowerCase() !== "figure") { figure = figure.parentNode; }
    var note = figure.querySelector(".note");
    var before = note.textContent;
    function tell() {
      told = true;
      note.textContent = mark.querySelector("title").textContent;
      note.className = "note told";
    }
    function forget() {
      told = false;
      note.textContent = before;
      note.className = "note";
    }
    mark.addEventListener("mouseover", tell);
    mark.addEventListener("focus", tell);
    mark.addEventListener("click", tell);
    mark.addEventListener("mouseout", forget);
    mark.addEventListener("blur", forget);
  });

  var settings = document.getElementById("settings");
  settings.open = state.open === true;
  if (state.scroll) {
    window.scrollTo(state.scroll[0], state.scroll[1]);
  }
  var seconds = Number(document.body.getAttribute("data-refresh"));
  if (seconds > 0) {
    setInterval(function () {
      if (!told) {
        state.open = settings.open;
        state.scroll = [window.pageXOffset, window.pageYOffset];
        store();
        location.reload();
      }
    }, 1000 * seconds);
  }
})();
