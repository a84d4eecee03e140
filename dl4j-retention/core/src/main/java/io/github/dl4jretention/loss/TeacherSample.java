package io.github.dl4jretention.loss;

import java.util.Map;
import org.nd4j.linalg.api.buffer.DataBuffer;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.guava.collect.MapMaker;

/**
 * Labels in which the teacher's values are a random sample of its distribution: classes that were not drawn have the
 * log-probability {@code -inf}, the others weights whose expectation is the distribution at one temperature. Forward KL
 * alone is linear in the teacher's distribution, so that the expected gradient is right; its value is not, it is that
 * from the sample and larger. Labels are known as samples as {@link RetentionLabels} knows their teacher. Source:
 * Anshumann et al., Sparse Logit Sampling, arXiv 2503.16870.
 */
public final class TeacherSample {

    private static final Map<DataBuffer, Double> TEMPERATURES =
            new MapMaker().weakKeys().makeMap();

    private TeacherSample() {}

    /**
     * Notes that an array holds samples.
     *
     * @param labels      the teacher's values or packed labels
     * @param temperature whose distribution was sampled
     */
    public static void claim(INDArray labels, double temperature) {
        TEMPERATURES.put(RetentionLabels.root(labels), temperature);
    }

    /**
     * Lets pass all labels but samples.
     *
     * @param labels the teacher's values or packed labels, or a view of them
     * @throws IllegalArgumentException if the labels are samples
     */
    public static void requireNone(INDArray labels) {
        if (TEMPERATURES.containsKey(RetentionLabels.root(labels))) {
            throw new IllegalArgumentException(
                    "labels: expected the teacher's whole distributions, got samples, from which every network is far; "
                            + "evaluate with the teacher itself");
        }
    }

    /** @throws IllegalArgumentException if the labels are samples from which this loss cannot be trained */
    static void requireFits(INDArray labels, RetentionConfiguration configuration) {
        Double temperature = TEMPERATURES.get(RetentionLabels.root(labels));
        if (temperature != null
                && (configuration.getDivergence() != Divergence.FORWARD_KL
                        || configuration.getTemperature() != temperature
                        || configuration.getAdaptive() != null)) {
            throw new IllegalArgumentException(
                    "teacher: expected whole distributions for " + configuration
                            + ", got samples, which serve forward KL at temperature " + temperature
                            + " with a coefficient that is not adaptive; a cache of whole distributions has the codec half or top-k");
        }
    }
}
