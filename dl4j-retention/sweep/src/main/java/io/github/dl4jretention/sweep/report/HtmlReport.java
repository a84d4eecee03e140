package io.github.dl4jretention.sweep.report;

import io.github.dl4jretention.sweep.outcome.CandidateOutcome;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.sweep.task.CurvePoint;
import io.github.dl4jretention.sweep.task.Losses;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.ToDoubleFunction;

/**
 * A sweep as one HTML page that needs nothing from elsewhere: recommended operating point, trade-off curve, training
 * curves, sortable table, failures, and what was asked for. It is well-formed XML, too.
 */
public final class HtmlReport {

    private final SweepOutcome sweep;
    private final List<CandidateOutcome> front;
    private final boolean strengths;

    private HtmlReport(SweepOutcome sweep) {
        this.sweep = sweep;
        this.front = sweep.front();
        this.strengths = sweep.candidates().stream().anyMatch(HtmlReport::hasStrength);
    }

    /**
     * {@return the page of a sweep that has ended, or of one so far}
     *
     * @param sweep to show
     */
    public static String of(SweepOutcome sweep) {
        return new HtmlReport(sweep).page("");
    }

    /**
     * {@return the same as {@link #of}, for a page that loads itself again until the sweep has finished}
     *
     * @param sweep   to show
     * @param seconds between loads
     */
    public static String live(SweepOutcome sweep, int seconds) {
        String refresh = "<meta http-equiv=\"refresh\" content=\"" + seconds + "\"/>\n";
        return new HtmlReport(sweep).page(sweep.finished() ? "" : refresh);
    }

    private String page(String refresh) {
        return "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n"
                + "<meta charset=\"utf-8\"/>\n"
                + "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
                + refresh
                + "<title>Sweep: gain against forgetting</title>\n<style>\n"
                + resource("report.css")
                + "</style>\n</head>\n<body>\n<main>\n<h1>Gain against forgetting</h1>\n"
                + summary()
                + recommendation()
                + "<div class=\"plots\">\n"
                + tradeOff()
                + curve("Cross-entropy in training", "cross-entropy, nats per token", CurvePoint::crossEntropy)
                + curve("Divergence from the teacher in training", "divergence, nats per token", CurvePoint::divergence)
                + "</div>\n"
                + table()
                + failures()
                + configuration()
                + "</main>\n<script>\n//<![CDATA[\n"
                + resource("report.js")
                + "//]]>\n</script>\n</body>\n</html>\n";
    }

    private static String resource(String name) {
        try (InputStream in = HtmlReport.class.getResourceAsStream(name)) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private String summary() {
        long pruned = sweep.candidates().stream()
                .filter(candidate -> candidate.status() == CandidateOutcome.Status.PRUNED)
                .count();
        StringBuilder text = new StringBuilder("<p class=\"summary\" id=\"summary\">")
                .append(sweep.finished() ? "" : "In work: ")
                .append(sweep.candidates().size());
        if (sweep.budget() != null && !sweep.finished()) {
            text.append(" of ").append(sweep.budget());
        }
        text.append(" candidates, ")
                .append(sweep.complete().size())
                .append(" complete, ")
                .append(pruned)
                .append(" pruned, ")
                .append(sweep.failed().size())
                .append(String.format(Locale.ROOT, " failed, %.0f s.", sweep.seconds()));
        if (pruned > 0) {
            text.append(String.format(Locale.ROOT, " Pruning has saved %.0f s.", sweep.secondsSaved()));
        }
        return text.append(" Losses are in nats per token; candidates are chosen on validation text (")
                .append(Html.escape(sweep.score().description()))
                .append(") and reported on test text.</p>\n")
                .toString();
    }

    private String recommendation() {
        StringBuilder html = new StringBuilder("<section id=\"recommended\">\n<h2>Recommended operating point</h2>\n");
        Optional<CandidateOutcome> recommended = sweep.recommended();
        if (recommended.isEmpty()) {
            return html.append("<p>")
                    .append(noRecommendation())
                    .append("</p>\n</section>\n")
                    .toString();
        }
        CandidateOutcome candidate = recommended.get();
        html.append("<p><strong>")
                .append(Html.escape(Candidates.name(candidate)))
                .append("</strong></p>\n<table class=\"small\">\n<thead><tr><th></th><th>gain on target</th>")
                .append("<th>forgetting on source</th></tr></thead>\n<tbody>\n");
        losses(html, "validation", candidate.validation(), sweep.base());
        if (candidate.test() != null && sweep.baseTest() != null) {
            losses(html, "test", candidate.test(), sweep.baseTest());
        }
        return html.append("</tbody>\n</table>\n<pre><code id=\"java\">")
                .append(Html.escape(sweep.javaLine(candidate)))
                .append("</code></pre>\n</section>\n")
                .toString();
    }

    private String noRecommendation() {
        if (sweep.complete().isEmpty()) {
            return sweep.finished()
                    ? "No candidate was trained to its end: there is nothing to choose from."
                    : "No candidate has been trained to its end yet.";
        }
        return "No candidate is better than the pretrained model by this score"
                + (sweep.finished() ? ": keep the model as it is." : " yet.");
    }

    private static void losses(StringBuilder html, String text, Losses losses, Losses base) {
        html.append("<tr><th>")
                .append(text)
                .append("</th><td>")
                .append(Html.fixed(losses.gain(base)))
                .append("</td><td>")
                .append(Html.fixed(losses.forgetting(base)))
                .append("</td></tr>\n");
    }

    private String tradeOff() {
        SvgPlot plot = new SvgPlot(
                "Gain on target text against forgetting on source text",
                "gain on target, nats per token (more is better)",
                "forgetting on source text (less is better)");
        List<CandidateOutcome> complete = sweep.complete();
        double[] reference = sweep.reference();
        plot.include(0, 0);
        complete.forEach(candidate -> plot.include(gain(candidate), forgetting(candidate)));
        plot.include(reference[0], reference[1]);
        plot.line(
                front.stream().mapToDouble(this::gain).toArray(),
                front.stream().mapToDouble(this::forgetting).toArray(),
                "class=\"front\"",
                "Pareto front");
        plot.point(0, 0, 4, "class=\"base\"", "pretrained model");
        plot.label(0, 0, "base");
        if (!complete.isEmpty()) {
            plot.point(reference[0], reference[1], 3, "class=\"reference\"", "reference point of the hypervolume");
        }
        sweep.recommended()
                .ifPresent(best -> plot.point(gain(best), forgetting(best), 9, "class=\"best\"", "recommended"));
        for (CandidateOutcome candidate : complete) {
            boolean onFront = front.contains(candidate);
            plot.point(
                    gain(candidate),
                    forgetting(candidate),
                    onFront ? 5 : 3.5,
                    "class=\"candidate\" fill=\"" + Candidates.colour(sweep, candidate) + "\""
                            + (onFront ? "" : " fill-opacity=\"0.45\""),
                    Candidates.name(candidate) + ", gain " + Html.fixed(gain(candidate)) + ", forgetting "
                            + Html.fixed(forgetting(candidate)));
        }
        sweep.recommended().ifPresent(best -> label(plot, best));
        front.forEach(candidate -> label(plot, candidate));
        return "<figure id=\"tradeoff\">\n<figcaption>Trade-off on validation text</figcaption>\n" + plot.toSvg()
                + String.format(
                        Locale.ROOT,
                        "<p class=\"note\">Line: Pareto front, %d of %d candidates. Ring: recommended. Blue to red: "
                                + "rising coefficient, given at points of the front where there is room. Hypervolume %s "
                                + "against the reference point (gain %s, forgetting %s), the hollow circle.</p>%n",
                        front.size(),
                        complete.size(),
                        Html.compact(sweep.hypervolume()),
                        Html.compact(reference[0]),
                        Html.compact(reference[1]))
                + "</figure>\n";
    }

    private void label(SvgPlot plot, CandidateOutcome candidate) {
        plot.label(
                gain(candidate),
                forgetting(candidate),
                Double.isNaN(candidate.coefficient())
                        ? Candidates.method(candidate.configuration())
                        : Html.compact(candidate.coefficient()));
    }

    private double gain(CandidateOutcome candidate) {
        return candidate.validation().gain(sweep.base());
    }

    private double forgetting(CandidateOutcome candidate) {
        return candidate.validation().forgetting(sweep.base());
    }

    private String curve(String title, String yTitle, ToDoubleFunction<CurvePoint> value) {
        SvgPlot plot = new SvgPlot(title + ", over steps", "step", yTitle);
        sweep.candidates()
                .forEach(candidate ->
                        candidate.curve().forEach(point -> plot.include(point.step(), value.applyAsDouble(point))));
        if (!plot.isEmpty()) {
            for (CandidateOutcome candidate : sweep.candidates()) {
                plot.line(
                        candidate.curve().stream().mapToDouble(CurvePoint::step).toArray(),
                        candidate.curve().stream().mapToDouble(value).toArray(),
                        "class=\"curve\" stroke=\"" + Candidates.colour(sweep, candidate) + "\"",
                        Candidates.name(candidate));
            }
        }
        return "<figure>\n<figcaption>" + title + "</figcaption>\n" + plot.toSvg() + "</figure>\n";
    }

    private String table() {
        StringBuilder html = new StringBuilder(
                "<section>\n<h2>Candidates</h2>\n<div class=\"scroll\">\n<table id=\"candidates\">\n<thead><tr>");
        for (String column : List.of(
                "#",
                "status",
                "method",
                "strength",
                "coefficient",
                "T",
                "divergence",
                "learning rate",
                "steps",
                "target",
                "source",
                "gain",
                "forgetting",
                "score",
                "front",
                "test gain",
                "test forgetting",
                "s")) {
            if (strengths || !column.equals("strength")) {
                html.append("<th scope=\"col\"><button type=\"button\">")
                        .append(column)
                        .append("</button></th>");
            }
        }
        html.append("</tr></thead>\n<tbody>\n");
        sweep.candidates().forEach(candidate -> row(html, candidate));
        return html.append("</tbody>\n</table>\n</div>\n</section>\n").toString();
    }

    private void row(StringBuilder html, CandidateOutcome candidate) {
        var configuration = candidate.configuration();
        var retention = configuration == null ? null : configuration.retention();
        boolean best = sweep.recommended().filter(candidate::equals).isPresent();
        html.append(best ? "<tr class=\"best\">" : "<tr>");
        cell(html, String.valueOf(candidate.index()));
        cell(html, candidate.status().name().toLowerCase(Locale.ROOT));
        cell(html, configuration == null ? "" : Candidates.method(configuration));
        if (strengths) {
            cell(html, hasStrength(candidate) ? Html.compact(configuration.strength()) : "");
        }
        cell(html, Html.compact(candidate.coefficient()));
        cell(html, retention == null ? "" : Html.compact(retention.getTemperature()));
        cell(html, retention == null ? "" : retention.getDivergence().name().toLowerCase(Locale.ROOT));
        cell(html, configuration == null ? "" : Html.compact(configuration.learningRate()));
        cell(html, String.valueOf(candidate.steps()));
        Losses losses = candidate.validation();
        cell(html, losses == null ? "" : Html.fixed(losses.target()));
        cell(html, losses == null ? "" : Html.fixed(losses.source()));
        cell(html, losses == null ? "" : Html.fixed(losses.gain(sweep.base())));
        cell(html, losses == null ? "" : Html.fixed(losses.forgetting(sweep.base())));
        boolean feasible = losses != null && sweep.score().isFeasible(sweep.base(), losses);
        cell(html, feasible ? Html.fixed(candidate.score()) : losses == null ? "" : "forgets too much");
        cell(html, front.contains(candidate) ? "yes" : "");
        boolean tested = candidate.test() != null && sweep.baseTest() != null;
        cell(html, tested ? Html.fixed(candidate.test().gain(sweep.baseTest())) : "");
        cell(html, tested ? Html.fixed(candidate.test().forgetting(sweep.baseTest())) : "");
        cell(html, String.format(Locale.ROOT, "%.1f", candidate.trainingSeconds()));
        html.append("</tr>\n");
    }

    private static boolean hasStrength(CandidateOutcome candidate) {
        return candidate.configuration() != null
                && candidate.configuration().method().hasStrength();
    }

    private static void cell(StringBuilder html, String text) {
        html.append("<td>").append(Html.escape(text)).append("</td>");
    }

    private String failures() {
        if (sweep.failed().isEmpty()) {
            return "";
        }
        StringBuilder html = new StringBuilder("<section id=\"failures\">\n<h2>Failures</h2>\n<ul>\n");
        for (CandidateOutcome candidate : sweep.failed()) {
            html.append("<li><strong>")
                    .append(Html.escape(Candidates.name(candidate)))
                    .append("</strong><br/>")
                    .append(Html.escape(candidate.reason()))
                    .append("</li>\n");
        }
        return html.append("</ul>\n</section>\n").toString();
    }

    private String configuration() {
        StringBuilder html = new StringBuilder("<details>\n<summary>What was asked for</summary>\n<dl>\n");
        for (Map.Entry<String, String> entry : sweep.configuration().entrySet()) {
            html.append("<dt>")
                    .append(Html.escape(entry.getKey()))
                    .append("</dt><dd>")
                    .append(Html.escape(entry.getValue()))
                    .append("</dd>\n");
        }
        return html.append("</dl>\n</details>\n").toString();
    }
}
