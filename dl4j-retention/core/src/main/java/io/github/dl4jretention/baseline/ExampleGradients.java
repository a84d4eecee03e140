package io.github.dl4jretention.baseline;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;

/** Gradients of single examples, in inference mode, on a copy of a model. */
interface ExampleGradients {

    /** The copy's parameters by name. */
    Map<String, INDArray> parameters();

    /** Token probabilities of all outputs, which must be softmax. */
    INDArray[] probabilities(MultiDataSet example);

    /** The class axis of an output's probabilities. */
    int classAxis(int output, int rank);

    /**
     * The gradient of the example's loss, summed over its unmasked tokens.
     *
     * @param labels in place of the example's own; null for its own
     * @return by name; valid until the next call
     */
    Map<String, INDArray> gradients(MultiDataSet example, @Nullable List<INDArray> labels);
}
