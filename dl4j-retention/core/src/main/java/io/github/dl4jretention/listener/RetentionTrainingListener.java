package io.github.dl4jretention.listener;

import io.github.dl4jretention.loss.RetentionListener;
import io.github.dl4jretention.loss.RetentionOutputLayerRuntime;
import io.github.dl4jretention.loss.TokenLoss;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * Reports every iteration of a student. If the loss or the gradient isn't finite, it stops training before the update,
 * so that parameters and adaptive coefficients stay as they were.
 *
 * <pre>{@code
 * try (RetentionTrainingListener listener = RetentionTrainingListener.builder()
 *         .to(new ReportLog(iterations))
 *         .to(new ReportCsv(Path.of("reports.csv")))
 *         .build()) {
 *     student.addListeners(listener);
 *     student.fit(new TeacherIterator(iterator, teacher), epochs);
 * }
 * }</pre>
 */
public final class RetentionTrainingListener extends BaseTrainingListener implements AutoCloseable {

    private final Reports reports;
    private double gradientNorm = Double.NaN;
    private boolean started;

    private RetentionTrainingListener(Reports reports) {
        this.reports = reports;
    }

    /** {@return a builder with the defaults: every iteration, with agreement, to nowhere} */
    public static Builder builder() {
        return new Builder();
    }

    @Override
    public void onForwardPass(Model model, List<INDArray> activations) {
        measureAgreement(model, ((MultiLayerNetwork) model).getIterationCount());
    }

    @Override
    public void onForwardPass(Model model, Map<String, INDArray> activations) {
        measureAgreement(model, ((ComputationGraph) model).getIterationCount());
    }

    private void measureAgreement(Model model, int iteration) {
        if (reports.measureAgreement(iteration)) {
            heads(model).values().forEach(head -> head.setMeasureAgreement(true));
        }
    }

    /**
     * @throws ArithmeticException if the loss or the gradient is not finite; the message gives the parts
     */
    @Override
    public void onGradientCalculation(Model model) {
        gradientNorm = Reports.norm2(model.getGradientsViewArray()) / Math.max(1, model.batchSize());
        Map<String, RetentionOutputLayerRuntime> heads = heads(model);
        heads.forEach((name, head) -> {
            if (!Reports.finite(loss(head), gradientNorm)) {
                heads.values().forEach(RetentionOutputLayerRuntime::refuseUpdate);
                throw Reports.notFinite(name, loss(head), gradientNorm);
            }
        });
    }

    @Override
    public void iterationDone(Model model, int iteration, int epoch) {
        if (!started) {
            started = true;
            reports.start(iteration);
        }
        heads(model).forEach((name, head) -> {
            double temperature = head.layerConf().getRetention().getTemperature();
            reports.send(name, loss(head), temperature, iteration, epoch, gradientNorm);
            head.setMeasureAgreement(false);
        });
    }

    /** In training there is one. */
    private static TokenLoss loss(RetentionOutputLayerRuntime head) {
        return Objects.requireNonNull(head.lastTokenLoss());
    }

    /** @throws IllegalArgumentException if the model has no retention layer */
    private static Map<String, RetentionOutputLayerRuntime> heads(Model model) {
        Map<String, RetentionOutputLayerRuntime> heads = new LinkedHashMap<>();
        if (model instanceof MultiLayerNetwork network) {
            put(heads, "output", network.getOutputLayer());
        } else if (model instanceof ComputationGraph graph) {
            for (String name : graph.getConfiguration().getNetworkOutputs()) {
                put(heads, name, graph.getLayer(name));
            }
        }
        if (heads.isEmpty()) {
            throw new IllegalArgumentException("model: expected a network with a RetentionOutputLayer, got a "
                    + model.getClass().getSimpleName() + " without one");
        }
        return heads;
    }

    private static void put(Map<String, RetentionOutputLayerRuntime> heads, String name, Layer layer) {
        if (layer instanceof RetentionOutputLayerRuntime head) {
            heads.put(name, head);
        }
    }

    /** Closes all sinks. */
    @Override
    public void close() {
        reports.close();
    }

    /** Builds a {@link RetentionTrainingListener}, or a {@link RetentionSameDiffListener} with the same settings. */
    public static final class Builder {

        private final List<ReportSink> sinks = new ArrayList<>();
        private int every = 1;
        private boolean agreement = true;

        private Builder() {}

        /**
         * @param sink where reports go; one more each time
         * @return this builder
         */
        public Builder to(ReportSink sink) {
            sinks.add(sink);
            return this;
        }

        /**
         * @param iterations report every so many iterations, at least 1; default 1. The guard looks at every one
         * @return this builder
         * @throws IllegalArgumentException if it is below 1
         */
        public Builder every(int iterations) {
            if (iterations < 1) {
                throw new IllegalArgumentException("iterations: expected at least 1, got " + iterations);
            }
            this.every = iterations;
            return this;
        }

        /**
         * @param agreement whether agreement is measured, which costs two passes over the logits; default true
         * @return this builder
         */
        public Builder agreement(boolean agreement) {
            this.agreement = agreement;
            return this;
        }

        /** {@return a listener for a network or a graph; closing it closes the sinks} */
        public RetentionTrainingListener build() {
            return new RetentionTrainingListener(reports());
        }

        /**
         * {@return a listener for a SameDiff model; closing it closes the sinks}
         *
         * @param listener the graph's; it comes before this one in the graph's listeners
         */
        public RetentionSameDiffListener build(RetentionListener listener) {
            return new RetentionSameDiffListener(reports(), listener);
        }

        private Reports reports() {
            return new Reports(every, agreement, List.copyOf(sinks));
        }
    }
}
