package io.github.dl4jretention.sweep.report;

import io.github.dl4jretention.loss.Divergence;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.sweep.outcome.CandidateOutcome;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.sweep.plot.Plot;
import io.github.dl4jretention.sweep.space.FinetuneConfiguration;
import io.github.dl4jretention.sweep.task.CurvePoint;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * The three pictures of a sweep: the trade-off on validation text, and cross-entropy and divergence over the steps of
 * training. Each comes as a large one with a title, for a PNG file, and as a small one for a page that has the title.
 */
public final class SweepPlots {

    private final SweepOutcome sweep;
    private final boolean small;

    private SweepPlots(SweepOutcome sweep, boolean small) {
        this.sweep = sweep;
        this.small = small;
    }

    /**
     * {@return pictures of 900 x 600 pixels, with titles}
     *
     * @param sweep to show
     */
    public static SweepPlots large(SweepOutcome sweep) {
        return new SweepPlots(sweep, false);
    }

    /**
     * {@return pictures of 480 x 340 pixels without titles}
     *
     * @param sweep to show
     */
    public static SweepPlots small(SweepOutcome sweep) {
        return new SweepPlots(sweep, true);
    }

    /** {@return gain against forgetting on validation text, in nats per token, with Pareto front and recommendation} */
    public Plot tradeOff() {
        List<CandidateOutcome> complete = sweep.complete();
        List<CandidateOutcome> front = sweep.front();
        Plot.Builder plot = builder("Gain against forgetting on validation text")
                .axes("gain on target, nats per token (more is better)", "forgetting on source (less is better)")
                .contextDots(each(complete, sweep::gain), each(complete, sweep::forgetting))
                .curve("Pareto front", each(front, sweep::gain), each(front, sweep::forgetting))
                .point("base", 0, 0)
                .hover("base: the pretrained model", new double[] {0}, new double[] {0});
        sweep.recommended().ifPresent(best -> plot.ring(sweep.gain(best), sweep.forgetting(best)));
        Stream.concat(sweep.recommended().stream(), front.stream())
                .distinct()
                .forEach(candidate ->
                        plot.label(setting(candidate), sweep.gain(candidate), sweep.forgetting(candidate)));
        for (CandidateOutcome candidate : complete) {
            plot.hover(
                    String.format(
                            Locale.ROOT,
                            "%s, gain %.4f, forgetting %.4f",
                            name(candidate),
                            sweep.gain(candidate),
                            sweep.forgetting(candidate)),
                    new double[] {sweep.gain(candidate)},
                    new double[] {sweep.forgetting(candidate)});
        }
        return plot.build();
    }

    /** {@return cross-entropy of the training text over steps, in nats per token} */
    public Plot crossEntropy() {
        return curves("Cross-entropy in training", "cross-entropy, nats per token", CurvePoint::crossEntropy);
    }

    /** {@return divergence from the teacher on the training text over steps, in nats per token} */
    public Plot divergence() {
        return curves("Divergence from the teacher in training", "divergence, nats per token", CurvePoint::divergence);
    }

    /** Every candidate's curve; the few that are named are spread over the front. */
    private Plot curves(String title, String yTitle, ToDoubleFunction<CurvePoint> value) {
        Plot.Builder plot = builder(title).axes("step", yTitle);
        List<CandidateOutcome> named = named(value);
        for (boolean isNamed : new boolean[] {false, true}) {
            for (CandidateOutcome candidate : sweep.candidates()) {
                if (named.contains(candidate) == isNamed) {
                    double[] steps = candidate.curve().stream()
                            .mapToDouble(CurvePoint::step)
                            .toArray();
                    double[] values =
                            candidate.curve().stream().mapToDouble(value).toArray();
                    plot.hover(name(candidate), steps, values);
                    if (isNamed) {
                        plot.curve("#" + candidate.index() + ": " + setting(candidate), steps, values);
                    } else {
                        plot.contextLine(steps, values);
                    }
                }
            }
        }
        return plot.build();
    }

    private List<CandidateOutcome> named(ToDoubleFunction<CurvePoint> value) {
        List<CandidateOutcome> drawn = sweep.candidates().stream()
                .filter(candidate -> candidate.curve().stream().anyMatch(p -> Double.isFinite(value.applyAsDouble(p))))
                .toList();
        List<CandidateOutcome> front = new ArrayList<>(sweep.front());
        front.retainAll(drawn);
        List<CandidateOutcome> from = front.isEmpty() ? drawn : front;
        int count = Math.min(Plot.MOST, from.size());
        List<CandidateOutcome> spread = new ArrayList<>(IntStream.range(0, count)
                .mapToObj(i -> from.get(count == 1 ? 0 : i * (from.size() - 1) / (count - 1)))
                .toList());
        sweep.recommended()
                .filter(best -> drawn.contains(best) && !spread.contains(best))
                .ifPresent(best -> spread.set(spread.size() / 2, best));
        spread.sort(Comparator.comparing(CandidateOutcome::index));
        return spread;
    }

    private Plot.Builder builder(String title) {
        Plot.Builder builder = Plot.builder(title);
        return small ? builder.untitled().size(480, 340, 15) : builder;
    }

    private static double[] each(List<CandidateOutcome> candidates, ToDoubleFunction<CandidateOutcome> value) {
        return candidates.stream().mapToDouble(value).toArray();
    }

    /** What a candidate is, for a reader: what doesn't vary from the defaults is left out. */
    static String name(CandidateOutcome candidate) {
        FinetuneConfiguration configuration = candidate.configuration();
        if (configuration == null) {
            return "#" + candidate.index() + ": not generated";
        }
        StringBuilder name = new StringBuilder("#" + candidate.index() + ": ");
        RetentionConfiguration retention = configuration.retention();
        if (retention == null) {
            name.append(setting(candidate));
        } else {
            name.append("coefficient ").append(compact(retention.getCoefficient()));
            if (retention.getTemperature() != 1) {
                name.append(", T ").append(compact(retention.getTemperature()));
            }
            if (retention.getDivergence() != Divergence.FORWARD_KL) {
                name.append(", ").append(retention.getDivergence());
            }
            if (retention.getTokenWeight() != null) {
                name.append(", ").append(retention.getTokenWeight());
            }
        }
        return name.append(", learning rate ")
                .append(compact(configuration.learningRate()))
                .toString();
    }

    /** The coefficient, or a baseline's name and strength. */
    private static String setting(CandidateOutcome candidate) {
        FinetuneConfiguration configuration = Objects.requireNonNull(candidate.configuration());
        if (configuration.retention() != null) {
            return compact(configuration.retention().getCoefficient());
        }
        return configuration.method().hasStrength()
                ? method(configuration) + " " + compact(configuration.strength())
                : method(configuration);
    }

    /** A method's name for a reader. */
    static String method(FinetuneConfiguration configuration) {
        return configuration.method().name().toLowerCase(Locale.ROOT).replace('_', ' ');
    }

    /** Four digits, without zeros at the end; empty for NaN. */
    static String compact(double value) {
        if (Double.isNaN(value)) {
            return "";
        }
        String text = String.format(Locale.ROOT, "%.4g", value);
        return text.contains("e") || !text.contains(".") ? text : text.replaceFirst("\\.?0+$", "");
    }
}
