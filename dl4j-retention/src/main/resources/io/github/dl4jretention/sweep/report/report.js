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
  heads.forEach(function (head, column) {
    head.firstElementChild.addEventListener("click", function () {
      var sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
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
    });
  });
})();
