package io.github.dl4jretention.teacher;

import io.github.dl4jretention.loss.RetentionLabels;
import java.util.Arrays;
import java.util.List;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.INDArrayIndex;
import org.nd4j.linalg.indexing.NDArrayIndex;

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
    public boolean isFrozen() {
        return true;
    }

    @Override
    public List<TeacherOutput> outputs() {
        return network.outputs();
    }

    @Override
    public INDArray[] logProbabilities(INDArray[] features, INDArray[] featuresMasks) {
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            INDArray[] result = ofNetwork(features, featuresMasks);
            for (int i = 0; i < result.length; i++) {
                requireNumbers(result[i], outputs().get(i).classAxis(result[i].rank()), features);
            }
            return result;
        }
    }

    /** The network's head writes straight into the labels. */
    @Override
    protected void teach(MultiDataSet batch, RetentionLabels[] outputs) {
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            ofNetwork(batch.getFeatures(), batch.getFeaturesMaskArrays(), outputs);
            for (RetentionLabels labels : outputs) {
                if (!labels.isFinite()) {
                    throw notFinite(batch.getFeatures());
                }
            }
        }
    }

    /**
     * A logit that is NaN or +Infinity makes all classes of its token NaN, and so do logits that are all -Infinity: one
     * class is enough to look at.
     */
    private static void requireNumbers(INDArray logProbabilities, int classAxis, INDArray[] features) {
        INDArrayIndex[] first = new INDArrayIndex[logProbabilities.rank()];
        Arrays.fill(first, NDArrayIndex.all());
        first[classAxis] = NDArrayIndex.point(0);
        if (logProbabilities.get(first).isNaN().any()) {
            throw notFinite(features);
        }
    }

    private static IllegalArgumentException notFinite(INDArray[] features) {
        return new IllegalArgumentException(
                "features: expected finite numbers, the teacher's logits are not finite for features of shapes "
                        + Arrays.stream(features)
                                .map(array -> Arrays.toString(array.shape()))
                                .toList());
    }

    private INDArray[] ofNetwork(INDArray[] features, INDArray[] featuresMasks, RetentionLabels... destinations) {
        synchronized (network) {
            try {
                return network.logProbabilities(features, featuresMasks, destinations);
            } catch (IllegalArgumentException | ChangedParametersException e) {
                throw e;
            } catch (RuntimeException e) {
                throw new IllegalArgumentException(
                        "features: expected what the teacher's network takes, got " + TaughtLabels.shapes(features)
                                + ": " + e.getMessage(),
                        e);
            }
        }
    }
}
