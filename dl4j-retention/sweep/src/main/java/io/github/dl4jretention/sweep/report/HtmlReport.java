package io.github.dl4jretention.sweep.report;

import static io.github.dl4jretention.sweep.report.SweepPlots.compact;

import io.github.dl4jretention.sweep.outcome.CandidateOutcome;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.sweep.plot.Plot;
import io.github.dl4jretention.sweep.task.Losses;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A sweep as one HTML page that needs no other file: recommended operating point, trade-off, training curves, sortable
 * table, failures, and the settings of the sweep. Readers who point at a candidate in a plot, or tab to it, are told
 * which one it is. The page is also well-formed XML.
 *
 * <p>The page of a sweep that hasn't finished reloads itself every {@value #REFRESH} seconds, and keeps the order of
 * its table and where the reader is; the page of a finished sweep doesn't.
 */
public final class HtmlReport {

    private static final int REFRESH = 5;
    private static final Logger LOG = LoggerFactory.getLogger(HtmlReport.class);

    private static final String[] COLUMNS =
            ("#,status,method,strength,coefficient,T,divergence,learning rate,steps,target,source,gain,"
                            + "forgetting,score,front,test gain,test forgetting,s")
                    .split(",");

    private final SweepOutcome sweep;
    private final List<CandidateOutcome> front;
    private final Optional<CandidateOutcome> recommended;
    private final boolean strengths;

    private HtmlReport(SweepOutcome sweep) {
        this.sweep = sweep;
        this.front = sweep.front();
        this.recommended = sweep.recommended();
        this.strengths = sweep.candidates().stream().anyMatch(HtmlReport::hasStrength);
    }

    /**
     * {@return the page of a sweep that has finished, or of one so far}
     *
     * @param sweep to show
     */
    public static String of(SweepOutcome sweep) {
        return new HtmlReport(sweep).page();
    }

    private String page() {
        SweepPlots plots = SweepPlots.small(sweep);
        return String.join(
                "",
                "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n",
                "<meta charset=\"utf-8\"/>\n",
                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n",
                // The script does it better, where there is one.
                sweep.finished()
                        ? ""
                        : "<noscript><meta http-equiv=\"refresh\" content=\"" + REFRESH + "\"/></noscript>\n",
                "<title>Sweep: gain against forgetting</title>\n<style>\n",
                resource("report.css"),
                "</style>\n</head>\n<body",
                sweep.finished() ? "" : " data-refresh=\"" + REFRESH + "\"",
                ">\n<main>\n<h1>Gain against forgetting</h1>\n",
                summary(),
                recommendation(),
                "<div class=\"plots\">\n",
                figure("tradeoff", "Trade-off on validation text", plots::tradeOff, tradeOffNote()),
                figure("cross-entropy", "Cross-entropy in training", plots::crossEntropy, curveNote()),
                figure("divergence", "Divergence from the teacher in training", plots::divergence, curveNote()),
                "</div>\n",
                table(),
                failures(),
                settings(),
                "</main>\n<script>\n//<![CDATA[\n",
                resource("report.js"),
                "//]]>\n</script>\n</body>\n</html>\n");
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
        String count = sweep.finished()
                ? String.valueOf(sweep.candidates().size())
                : "Running: " + sweep.candidates().size() + (sweep.budget() == null ? "" : " of " + sweep.budget());
        return String.format(
                Locale.ROOT,
                "<p class=\"summary\" id=\"summary\">%s candidates, %d complete, %d pruned, %d failed, %.0f s.%s "
                        + "Losses are in nats per token. Candidates are chosen on validation text (%s) and reported "
                        + "on test text.%s</p>%n",
                count,
                sweep.complete().size(),
                pruned,
                sweep.failed().size(),
                sweep.seconds(),
                pruned == 0 ? "" : String.format(Locale.ROOT, " Pruning has saved %.0f s.", sweep.secondsSaved()),
                escape(sweep.score().description()),
                sweep.finished() ? "" : " This page refreshes itself until the sweep has finished.");
    }

    private String recommendation() {
        String text = recommended.isEmpty()
                ? "<p>" + noRecommendation() + "</p>\n"
                : "<p><strong>" + escape(SweepPlots.name(recommended.get()))
                        + "</strong></p>\n<table class=\"small\">\n<thead><tr><th></th><th>gain on target</th>"
                        + "<th>forgetting on source</th></tr></thead>\n<tbody>\n"
                        + losses("validation", recommended.get().validation(), sweep.base())
                        + losses("test", recommended.get().test(), sweep.baseTest())
                        + "</tbody>\n</table>\n<pre><code id=\"java\">"
                        + escape(sweep.javaLine(recommended.get())) + "</code></pre>\n";
        return "<section id=\"recommended\">\n<h2>Recommended operating point</h2>\n" + text + "</section>\n";
    }

    private String noRecommendation() {
        if (sweep.complete().isEmpty()) {
            return sweep.finished()
                    ? "No candidate was trained to its end: there is nothing to choose from."
                    : "No candidate has been trained to its end yet.";
        }
        return sweep.finished()
                ? "No candidate scores better than the pretrained model: keep the model as it is."
                : "No candidate scores better than the pretrained model yet.";
    }

    private static String losses(String text, @Nullable Losses losses, @Nullable Losses base) {
        return losses == null || base == null
                ? ""
                : "<tr><th>" + text + "</th><td>" + fixed(losses.gain(base)) + "</td><td>"
                        + fixed(losses.forgetting(base)) + "</td></tr>\n";
    }

    private static String figure(String id, String caption, Supplier<Plot> drawn, String note) {
        return "<figure id=\"" + id + "\">\n<figcaption>" + caption + "</figcaption>\n" + svg(drawn)
                + "<p class=\"note\" aria-live=\"polite\">" + note + "</p>\n</figure>\n";
    }

    private static String svg(Supplier<Plot> drawn) {
        Plot plot = drawn.get();
        if (plot.isEmpty()) {
            return "<p class=\"empty\">Nothing to draw yet.</p>\n";
        }
        try {
            return plot.svg() + "\n";
        } catch (RuntimeException | LinkageError | InternalError e) {
            // Java throws one of many where it finds no font, as in small containers; the sweep goes on.
            LOG.warn("a plot of the report can't be drawn: does this machine have fonts?", e);
            return "<p class=\"empty\">This plot couldn't be drawn: Java found no fonts. Install fontconfig and a font, "
                    + "such as DejaVu, and run the same command again.</p>\n";
        }
    }

    private String tradeOffNote() {
        double[] reference = sweep.reference();
        return String.format(
                Locale.ROOT,
                "Point at a candidate to see what it is. Line: Pareto front, %d of %d candidates, with their coefficients "
                        + "where there is room. Ring: recommended. Hypervolume %s against the reference point (gain %s, "
                        + "forgetting %s).",
                front.size(),
                sweep.complete().size(),
                compact(sweep.hypervolume()),
                compact(reference[0]),
                compact(reference[1]));
    }

    private static String curveNote() {
        return "Point at a curve to see whose it is. Named: number and coefficient of up to " + Plot.MOST
                + " candidates, spread over the front.";
    }

    private String table() {
        String heads = Stream.of(COLUMNS)
                .filter(column -> strengths || !column.equals("strength"))
                .map(column -> "<th scope=\"col\"><button type=\"button\">" + column + "</button></th>")
                .collect(Collectors.joining());
        return "<section>\n<h2>Candidates</h2>\n<div class=\"scroll\">\n<table id=\"candidates\">\n<thead><tr>" + heads
                + "</tr></thead>\n<tbody>\n"
                + sweep.candidates().stream().map(this::row).collect(Collectors.joining())
                + "</tbody>\n</table>\n</div>\n</section>\n";
    }

    private String row(CandidateOutcome candidate) {
        var configuration = candidate.configuration();
        var retention = configuration == null ? null : configuration.retention();
        Losses losses = candidate.validation();
        Losses test = candidate.test();
        Losses baseTest = test == null ? null : sweep.baseTest();
        Double score = sweep.isFeasible(candidate) ? candidate.score() : null;
        StringBuilder html =
                new StringBuilder(recommended.filter(candidate::equals).isPresent() ? "<tr class=\"best\">" : "<tr>");
        cell(html, String.valueOf(candidate.index()));
        cell(html, candidate.status().name().toLowerCase(Locale.ROOT));
        cell(html, configuration == null ? "" : SweepPlots.method(configuration));
        if (strengths) {
            cell(
                    html,
                    configuration != null && configuration.method().hasStrength()
                            ? compact(configuration.strength())
                            : "");
        }
        cell(html, compact(candidate.coefficient()));
        cell(html, retention == null ? "" : compact(retention.getTemperature()));
        String weight =
                retention == null || retention.getTokenWeight() == null ? "" : ", " + retention.getTokenWeight();
        cell(html, retention == null ? "" : retention.getDivergence().name().toLowerCase(Locale.ROOT) + weight);
        cell(html, configuration == null ? "" : compact(configuration.learningRate()));
        cell(html, String.valueOf(candidate.steps()));
        cell(html, losses == null ? "" : fixed(losses.target()));
        cell(html, losses == null ? "" : fixed(losses.source()));
        cell(html, losses == null ? "" : fixed(losses.gain(sweep.base())));
        cell(html, losses == null ? "" : fixed(losses.forgetting(sweep.base())));
        cell(html, score != null ? fixed(score) : losses == null ? "" : "forgets too much");
        cell(html, front.contains(candidate) ? "yes" : "");
        cell(html, test == null || baseTest == null ? "" : fixed(test.gain(baseTest)));
        cell(html, test == null || baseTest == null ? "" : fixed(test.forgetting(baseTest)));
        cell(html, String.format(Locale.ROOT, "%.1f", candidate.trainingSeconds()));
        return html.append("</tr>\n").toString();
    }

    private static boolean hasStrength(CandidateOutcome candidate) {
        return candidate.configuration() != null
                && candidate.configuration().method().hasStrength();
    }

    private static void cell(StringBuilder html, String text) {
        html.append("<td>").append(escape(text)).append("</td>");
    }

    private String failures() {
        return sweep.failed().isEmpty()
                ? ""
                : sweep.failed().stream()
                        .map(candidate -> "<li><strong>" + escape(SweepPlots.name(candidate)) + "</strong><br/>"
                                + escape(String.valueOf(candidate.reason())) + "</li>\n")
                        .collect(Collectors.joining(
                                "", "<section id=\"failures\">\n<h2>Failures</h2>\n<ul>\n", "</ul>\n</section>\n"));
    }

    private String settings() {
        return sweep.configuration().entrySet().stream()
                .map(entry -> "<dt>" + escape(entry.getKey()) + "</dt><dd>" + escape(entry.getValue()) + "</dd>\n")
                .collect(Collectors.joining(
                        "",
                        "<details id=\"settings\">\n<summary>Settings of the sweep</summary>\n<dl>\n",
                        "</dl>\n</details>\n"));
    }

    /** A text with nothing in it that HTML or XML would take for its own; what XML can't hold becomes a space. */
    private static String escape(String text) {
        StringBuilder escaped = new StringBuilder();
        text.codePoints().forEach(c -> {
            switch (c) {
                case '&' -> escaped.append("&amp;");
                case '<' -> escaped.append("&lt;");
                case '>' -> escaped.append("&gt;");
                case '"' -> escaped.append("&quot;");
                case '\'' -> escaped.append("&#39;");
                default -> escaped.appendCodePoint(isText(c) ? c : ' ');
            }
        });
        return escaped.toString();
    }

    private static boolean isText(int c) {
        boolean control = c < 0x20 && c != '\n' && c != '\t';
        boolean surrogate = c >= 0xD800 && c <= 0xDFFF;
        return !control && !surrogate && c != 0xFFFE && c != 0xFFFF;
    }

    /** Four places after the point. */
    private static String fixed(double value) {
        return String.format(Locale.ROOT, "%.4f", value);
    }
}
