package io.github.dl4jretention.tasks;

import io.github.dl4jretention.tasks.TaskComparison.Change;
import io.github.dl4jretention.tasks.TaskComparison.Flip;
import java.util.List;

/** A comparison as one page of HTML, without scripts or other files. */
final class ComparisonPage {

    private static final String STYLE =
            "body{font:15px/1.45 system-ui,sans-serif;max-width:75em;margin:2em auto;padding:0 1em;"
                    + "color:#222;background:#fff}table{border-collapse:collapse;margin:1em 0}th,td{padding:.35em .7em;"
                    + "border-bottom:1px solid #ddd;text-align:right;vertical-align:top}th:first-child,td:first-child{text-align:left}"
                    + ".text td{text-align:left;white-space:pre-wrap;overflow-wrap:anywhere;max-width:24em}"
                    + "summary{cursor:pointer;margin:.4em 0}@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}"
                    + "th,td{border-color:#444}}";

    /** Flips that are shown of a task. */
    private static final int MOST = 200;

    private final TaskComparison comparison;
    private final StringBuilder page = new StringBuilder();

    ComparisonPage(TaskComparison comparison) {
        this.comparison = comparison;
    }

    String html() {
        page.append(
                        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Tasks before and after</title>")
                .append("<meta name=\"viewport\" content=\"width=device-width\"><style>")
                .append(STYLE)
                .append("</style></head><body>\n<h1>Tasks before and after tuning</h1>\n<table><thead>");
        TaskReport base = comparison.base();
        page.append("<tr><th>model</th>");
        for (TaskResult task : base.tasks()) {
            page.append("<th>")
                    .append(escaped(task.task()))
                    .append("<br><small>")
                    .append(escaped(task.metric()));
            page.append(task.source() ? ", to keep" : ", to learn").append("</small></th>");
        }
        page.append("<th>gain</th><th>forgetting</th><th>forgetting avoided</th></tr></thead><tbody>\n");
        row(comparison.row(base));
        comparison.models().forEach(model -> row(comparison.row(model)));
        page.append(
                        "</tbody></table>\n<p>Shares are in percent, with standard errors; p is that of the difference from ")
                .append(escaped(base.model()))
                .append(
                        " on the same questions. Gain is the mean change of the tasks to learn, forgetting minus the mean ")
                .append("change of the tasks to keep, both without perplexities");
        if (comparison.models().size() > 1) {
            page.append("; forgetting avoided is measured against ")
                    .append(escaped(comparison.models().get(0).model()));
        }
        page.append(".</p>\n");
        notes(base);
        for (TaskReport model : comparison.models()) {
            notes(model);
            base.tasks().forEach(task -> flips(model, task.task()));
        }
        return page.append("</body></html>\n").toString();
    }

    private void row(List<String> cells) {
        page.append("<tr>");
        cells.forEach(cell -> page.append("<td>")
                .append(escaped(cell).replace("+-", "&plusmn;"))
                .append("</td>"));
        page.append("</tr>\n");
    }

    private void notes(TaskReport model) {
        page.append("<h2>").append(escaped(model.model())).append("</h2>\n<ul>");
        for (TaskResult task : model.tasks()) {
            page.append("<li>")
                    .append(escaped(task.task()))
                    .append(": ")
                    .append(escaped(task.kind()))
                    .append(", ");
            page.append(TaskReport.questions(task.questions().size()));
            if (task.truncated() > 0) {
                page.append(", ").append(task.truncated());
                page.append(" prompts were longer than the context and lost their beginning");
            }
            task.notes().forEach(note -> page.append(", ").append(escaped(note)));
            page.append("</li>");
        }
        page.append("</ul>\n");
    }

    private void flips(TaskReport model, String task) {
        Change change = comparison.change(model, task);
        flips(task + ": right before, wrong after", change.lost());
        flips(task + ": wrong before, right after", change.won());
    }

    private void flips(String title, List<Flip> flips) {
        if (flips.isEmpty()) {
            return;
        }
        page.append("<details><summary>")
                .append(escaped(title))
                .append(" (")
                .append(flips.size())
                .append(")</summary>\n");
        page.append(
                "<table class=\"text\"><thead><tr><th>question</th><th>right</th><th>before</th><th>after</th></tr>");
        page.append("</thead><tbody>\n");
        for (Flip flip : flips.subList(0, Math.min(MOST, flips.size()))) {
            page.append("<tr>");
            cell(flip.before().asked());
            cell(flip.before().right());
            cell(flip.before().answer());
            cell(flip.after().answer());
            page.append("</tr>\n");
        }
        page.append("</tbody></table>");
        if (flips.size() > MOST) {
            page.append("<p>The first ").append(MOST).append("; the reports have all.</p>");
        }
        page.append("</details>\n");
    }

    private void cell(String text) {
        page.append("<td>").append(escaped(text)).append("</td>");
    }

    private static String escaped(String text) {
        return text.replace("&", "&amp;")
                .replace("<", "&lt;")
                .replace(">", "&gt;")
                .replace("\"", "&quot;");
    }
}
