package io.github.dl4jretention.teacher;

import java.util.Arrays;
import java.util.List;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/** One frozen network. */
class NetworkTeacher extends Teacher {

    private final FrozenNetwork network;

    NetworkTeacher(FrozenNetwork network) {
        this.network = network;
    }

    FrozenNetwork network() {
        return network;
    }

    @Override
    public String sha256() {
        return network.sha256();
    }

    @Override
    public List<TeacherOutput> outputs() {
        return network.outputs();
    }

    private static void requireNumbers(INDArray logits, INDArray[] features) {
        if (Double.isNaN(logits.sumNumber().doubleValue())) {
            throw new IllegalArgumentException(
                    "features: expected finite numbers, the teacher's logits are not finite for "
                            + "features of shapes "
                            + Arrays.stream(features)
                                    .map(array -> Arrays.toString(array.shape()))
                                    .toList());
        }
    }

    private INDArray[] logits(INDArray[] features, INDArray[] featuresMasks) {
        synchronized (network) {
            try {
                return network.logits(features, featuresMasks);
            } catch (IllegalArgumentException e) {
                throw e;
            } catch (RuntimeException e) {
                throw new IllegalArgumentException(
                        "features: expected what the teacher's network takes, got " + BatchCheck.shapes(features) + ": "
                                + e.getMessage(),
                        e);
            }
        }
    }

    @Override
    public INDArray[] logProbabilities(INDArray[] features, INDArray[] featuresMasks) {
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            INDArray[] logits = logits(features, featuresMasks);
            INDArray[] result = new INDArray[logits.length];
            for (int i = 0; i < result.length; i++) {
                int classAxis = outputs().get(i).classAxis(logits[i].rank());
                requireNumbers(logits[i], features);
                // HALF has too few bits for a sum over a vocabulary.
                boolean half = logits[i].dataType() == DataType.FLOAT16;
                result[i] = LogProbabilities.ofLogits(half ? logits[i].castTo(DataType.FLOAT) : logits[i], classAxis);
            }
            return result;
        }
    }
}
