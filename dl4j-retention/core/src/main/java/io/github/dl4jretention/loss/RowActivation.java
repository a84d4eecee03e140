package io.github.dl4jretention.loss;

import java.util.Map;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.ops.transforms.Transforms;

/** A layer's activations by ND4J's operations, on any backend and in any data type. */
final class RowActivation {

    private RowActivation() {}

    /**
     * @param input      {@code [tokens, nIn]}
     * @param parameters W and b, or none
     * @return {@code softmax(h W + b)} or its logarithm, {@code [tokens, V]}; logarithms of HALF in FLOAT
     */
    static INDArray of(INDArray input, Map<String, INDArray> parameters, boolean logarithm) {
        INDArray logits = input;
        if (parameters.containsKey(DefaultParamInitializer.WEIGHT_KEY)) {
            logits = logits.mmul(parameters.get(DefaultParamInitializer.WEIGHT_KEY));
        }
        if (parameters.containsKey(DefaultParamInitializer.BIAS_KEY)) {
            logits.addiRowVector(parameters.get(DefaultParamInitializer.BIAS_KEY));
        }
        return logarithm ? logSoftmax(logits) : Transforms.softmax(logits, false);
    }

    /** About the maximum; M2.1's own logSoftmax gives -inf where logits are 100 apart. */
    private static INDArray logSoftmax(INDArray logits) {
        // HALF has too few bits for a sum over a vocabulary.
        INDArray result = logits.dataType() == DataType.FLOAT16 ? logits.castTo(DataType.FLOAT) : logits.dup('c');
        result.subiColumnVector(result.max(true, 1));
        return result.subiColumnVector(Transforms.log(Transforms.exp(result).sum(true, 1), false));
    }
}
