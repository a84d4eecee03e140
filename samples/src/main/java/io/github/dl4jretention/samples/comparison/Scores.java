package io.github.dl4jretention.samples.comparison;

import io.github.dl4jretention.eval.TokenEvaluation;
import io.github.dl4jretention.samples.text.Corpus;
import io.github.dl4jretention.samples.text.Domain;
import io.github.dl4jretention.samples.text.TokenWindowIterator;
import io.github.dl4jretention.teacher.Teacher;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.dataset.adapter.MultiDataSetIteratorAdapter;

/**
 * A model on held-out text of one part, in nats per token.
 *
 * @param target           cross-entropy on target text
 * @param source           mean of the cross-entropies on the source texts
 * @param targetDivergence forward KL from the base on target text
 * @param sourceDivergence mean of the forward KL from the base on the source texts
 * @param domains          cross-entropy by domain; empty where it was not kept
 * @param documents        cross-entropy by domain and document; empty where it was not kept
 * @param tasks            answers by task; empty where none was asked
 */
public record Scores(
        double target,
        double source,
        double targetDivergence,
        double sourceDivergence,
        Map<Domain, Double> domains,
        Map<Domain, List<Document>> documents,
        Map<String, TaskScore> tasks)
        implements Serializable {

    /** Of a model that gives no finite numbers. */
    static final Scores NONE = new Scores(Double.NaN, Double.NaN, Double.NaN, Double.NaN, Map.of());

    private static final int BATCH = 16;

    /**
     * The windows of one held-out document, or of one that begins with it.
     *
     * @param tokens that are predicted
     * @param loss   their mean cross-entropy in nats
     */
    public record Document(int tokens, double loss) implements Serializable {

        private static Document of(List<Document> windows) {
            int tokens = windows.stream().mapToInt(Document::tokens).sum();
            double sum = windows.stream()
                    .mapToDouble(window -> window.tokens * window.loss)
                    .sum();
            return new Document(tokens, sum / tokens);
        }
    }

    /**
     * How a model answered one task.
     *
     * @param source whether the task is to be kept; else it's to be learned
     * @param value  the task's metric
     * @param marks  of its questions, in their order; empty where the metric isn't a share of right answers
     */
    public record TaskScore(boolean source, double value, List<Double> marks) implements Serializable {

        String role() {
            return source ? "source" : "target";
        }
    }

    Scores(
            double target,
            double source,
            double targetDivergence,
            double sourceDivergence,
            Map<Domain, Double> domains) {
        this(target, source, targetDivergence, sourceDivergence, domains, Map.of(), Map.of());
    }

    static Scores of(
            MultiLayerNetwork network,
            Teacher base,
            Plan.Pair pair,
            TokenCorpus corpus,
            Corpus.Part part,
            int batches) {
        Map<Domain, Double> domains = new EnumMap<>(Domain.class);
        Map<Domain, List<Document>> documents = new EnumMap<>(Domain.class);
        TokenEvaluation target = evaluate(network, base, corpus, pair.target(), part, batches, documents);
        domains.put(pair.target(), target.crossEntropy());
        double crossEntropy = 0;
        double divergence = 0;
        for (Domain source : pair.sources()) {
            TokenEvaluation evaluation = evaluate(network, base, corpus, source, part, batches, documents);
            domains.put(source, evaluation.crossEntropy());
            crossEntropy += evaluation.crossEntropy() / pair.sources().size();
            divergence += evaluation.divergence() / pair.sources().size();
        }
        return new Scores(
                target.crossEntropy(), crossEntropy, target.divergence(), divergence, domains, documents, Map.of());
    }

    /** Whether all probabilities that a model gives for the text of such scores are numbers. */
    static boolean areFinite(
            MultiLayerNetwork network, Plan.Pair pair, TokenCorpus corpus, Corpus.Part part, int batches) {
        Set<Domain> domains = new HashSet<>(pair.sources());
        domains.add(pair.target());
        for (Domain domain : domains) {
            TokenWindowIterator windows = windows(corpus, domain, part, batches);
            while (windows.hasNext()) {
                if (network.output(windows.next().getFeatures()).isNaN().any()) {
                    return false;
                }
            }
        }
        return true;
    }

    private static TokenEvaluation evaluate(
            MultiLayerNetwork network,
            Teacher base,
            TokenCorpus corpus,
            Domain domain,
            Corpus.Part part,
            int batches,
            Map<Domain, List<Document>> documents) {
        TokenWindowIterator windows = windows(corpus, domain, part, batches);
        List<Document> losses = new ArrayList<>();
        try (Teacher model = Teacher.of(network)) {
            TokenEvaluation evaluation = TokenEvaluation.of(
                    model, base, new MultiDataSetIteratorAdapter(windows), (tokens, weights, time) -> {
                        for (int from = 0; from < tokens.length; from += time) {
                            losses.add(window(tokens, weights, from, from + time));
                        }
                    });
            int[] places = windows.places();
            Map<Integer, List<Document>> byDocument = new TreeMap<>();
            for (int i = 0; i < places.length; i++) {
                byDocument
                        .computeIfAbsent(corpus.document(domain, part, places[i]), document -> new ArrayList<>())
                        .add(losses.get(i));
            }
            documents.put(domain, byDocument.values().stream().map(Document::of).toList());
            return evaluation;
        }
    }

    private static TokenWindowIterator windows(TokenCorpus corpus, Domain domain, Corpus.Part part, int batches) {
        return corpus.evaluation(BATCH, batches, domain, part);
    }

    private static Document window(double[] losses, double[] weights, int from, int to) {
        int[] predicted =
                IntStream.range(from, to).filter(token -> weights[token] > 0).toArray();
        return new Document(
                predicted.length,
                IntStream.of(predicted)
                        .mapToDouble(token -> losses[token])
                        .average()
                        .orElse(0));
    }

    /** Whether there are scores, all of them numbers. */
    boolean areNumbers() {
        return DoubleStream.of(target, source, targetDivergence, sourceDivergence)
                .allMatch(Double::isFinite);
    }

    Scores with(Map<Domain, List<Document>> known, Map<String, TaskScore> asked) {
        return new Scores(target, source, targetDivergence, sourceDivergence, domains, known, asked);
    }

    /** Cross-entropy on a domain; NaN where it was not kept. */
    double on(Domain domain) {
        return domains.getOrDefault(domain, Double.NaN);
    }

    double gain(Scores base) {
        return base.target - target;
    }

    double forgetting(Scores base) {
        return source - base.source;
    }
}
