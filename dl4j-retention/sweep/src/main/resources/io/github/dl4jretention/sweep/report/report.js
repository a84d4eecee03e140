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
  // A page that loads itself again keeps its order; some browsers have no storage for files.
  var key = "sweep-sort " + location.pathname;
  function stored() {
    try { return JSON.parse(sessionStorage.getItem(key)); } catch (e) { return null; }
  }
  function store(order) {
    try { sessionStorage.setItem(key, JSON.stringify(order)); } catch (e) { return; }
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
      store([column, sign]);
    });
  });
  var order = stored();
  if (order && heads[order[0]]) {
    sort(order[0], order[1]);
  }
})();
