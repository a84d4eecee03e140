package io.github.dl4jretention.samples.comparison;

import io.github.dl4jretention.eval.ParetoFront;
import io.github.dl4jretention.samples.text.Domain;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Random;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import org.apache.commons.math3.stat.StatUtils;

/**
 * How much of a difference is due to the documents that happen to be in the test text: they are drawn anew, with
 * replacement and domain by domain, {@value #DRAWS} times, the same documents for every model (a paired bootstrap). What
 * was chosen on validation text stays chosen, and seeds stay what they are.
 *
 * <p>Source: Efron, Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentile intervals).
 */
final class Bootstrap {

    static final int DRAWS = 1000;

    private static final long SEED = 20240604;

    private final Result base;
    private final Map<Domain, int[][]> counts = new EnumMap<>(Domain.class);
    private final IdentityHashMap<Result, Losses> drawn = new IdentityHashMap<>();

    /** Of one model, by draw. */
    private record Losses(double[] target, double[] source) {}

    /**
     * A 95 % interval; NaN if one of the draws isn't a number, as a multiple of 0 isn't.
     *
     * @param least 2.5 % of the draws are below it
     * @param most  2.5 % of the draws are above it
     */
    record Interval(double least, double most) {

        static Interval of(double[] draws) {
            if (!DoubleStream.of(draws).allMatch(Double::isFinite)) {
                return new Interval(Double.NaN, Double.NaN);
            }
            return new Interval(StatUtils.percentile(draws, 2.5), StatUtils.percentile(draws, 97.5));
        }
    }

    /** @param base with its documents, else no family has an interval */
    Bootstrap(Result base) {
        this.base = base;
        Random random = new Random(SEED);
        base.test().documents().forEach((domain, documents) -> {
            int[][] draws = new int[DRAWS][documents.size()];
            for (int[] draw : draws) {
                for (int i = 0; i < draw.length; i++) {
                    draw[random.nextInt(draw.length)]++;
                }
            }
            counts.put(domain, draws);
        });
    }

    /** Of a family's hypervolume on test text as a multiple of another's; empty if documents of a model are missing. */
    Optional<Interval> ratio(Family family, Family reference) {
        Optional<double[]> own = hypervolumes(family);
        Optional<double[]> others = hypervolumes(reference);
        if (own.isEmpty() || others.isEmpty()) {
            return Optional.empty();
        }
        return Optional.of(Interval.of(IntStream.range(0, DRAWS)
                .mapToDouble(draw -> own.get()[draw] / others.get()[draw])
                .toArray()));
    }

    private Optional<double[]> hypervolumes(Family family) {
        List<List<Result>> fronts = family.fronts();
        if (counts.isEmpty()
                || !fronts.stream()
                        .flatMap(List::stream)
                        .allMatch(result -> result.test().documents().keySet().equals(counts.keySet()))) {
            return Optional.empty();
        }
        double[] means = new double[DRAWS];
        for (int draw = 0; draw < DRAWS; draw++) {
            int place = draw;
            double[] start = {losses(base).target[place], losses(base).source[place]};
            for (List<Result> front : fronts) {
                means[draw] += ParetoFront.of(
                                        front,
                                        result -> start[0] - losses(result).target[place],
                                        result -> losses(result).source[place] - start[1])
                                .hypervolume(0, Family.REFERENCE * start[1])
                        / fronts.size();
            }
        }
        return Optional.of(means);
    }

    private Losses losses(Result result) {
        return drawn.computeIfAbsent(result, this::draw);
    }

    private Losses draw(Result result) {
        double[] target = new double[DRAWS];
        double[] source = new double[DRAWS];
        List<Domain> sources = new ArrayList<>(counts.keySet());
        sources.remove(Domain.valueOf(base.target()));
        Arrays.setAll(target, draw -> mean(result, Domain.valueOf(base.target()), draw));
        Arrays.setAll(source, draw -> sources.stream()
                .mapToDouble(domain -> mean(result, domain, draw))
                .average()
                .orElseThrow());
        return new Losses(target, source);
    }

    private double mean(Result result, Domain domain, int draw) {
        List<Scores.Document> documents =
                Objects.requireNonNull(result.test().documents().get(domain));
        int[] count = Objects.requireNonNull(counts.get(domain))[draw];
        double sum = 0;
        double tokens = 0;
        for (int i = 0; i < count.length; i++) {
            Scores.Document document = documents.get(i);
            sum += count[i] * document.tokens() * document.loss();
            tokens += count[i] * document.tokens();
        }
        return sum / tokens;
    }
}
