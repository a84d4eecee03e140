package io.github.dl4jretention.samples.model;

import io.github.dl4jretention.teacher.NetworkIdentity;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherOutput;
import java.util.ArrayList;
import java.util.List;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.ops.transforms.Transforms;

/** A network with its low-rank adapters off: while it is asked, their second factors are 0. */
final class LowRankTeacher extends Teacher {

    private final MultiLayerNetwork network;
    private final List<INDArray> factors = new ArrayList<>();
    private final String sha256;

    LowRankTeacher(MultiLayerNetwork network) {
        this.network = network;
        sha256 = NetworkIdentity.sha256(LowRankAdapters.base(network));
        for (Layer layer : network.getLayers()) {
            if (layer.conf().getLayer() instanceof LowRankAttentionBlock) {
                LowRankAttentionBlock.ADAPTED.forEach(
                        projection -> factors.add(layer.getParam(LowRankAttentionBlock.up(projection))));
            }
        }
    }

    @Override
    public String sha256() {
        return sha256;
    }

    @Override
    public List<TeacherOutput> outputs() {
        return List.of(new TeacherOutput("output", 0, 1));
    }

    @Override
    public INDArray[] logProbabilities(INDArray[] features, INDArray[] featuresMasks) {
        if (featuresMasks != null && featuresMasks[0] != null) {
            throw new IllegalArgumentException("featuresMasks: the sample transformer takes none");
        }
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            List<INDArray> trained = factors.stream().map(INDArray::dup).toList();
            factors.forEach(factor -> factor.assign(0));
            try {
                return new INDArray[] {logProbabilities(features[0])};
            } finally {
                for (int i = 0; i < trained.size(); i++) {
                    factors.get(i).assign(trained.get(i));
                }
            }
        }
    }

    /** By the output layer's weights, so that no probability underflows. */
    private INDArray logProbabilities(INDArray features) {
        int last = network.getnLayers() - 1;
        List<INDArray> activations = network.feedForwardToLayer(last - 1, features, false);
        INDArray hidden = activations.get(activations.size() - 1);
        long batch = hidden.size(0);
        long time = hidden.size(2);
        INDArray rows = hidden.permute(0, 2, 1).dup('c').reshape('c', batch * time, hidden.size(1));
        INDArray logits = rows.mmul(network.getLayer(last).getParam("W"))
                .addiRowVector(network.getLayer(last).getParam("b"));
        INDArray shifted = logits.subi(logits.max(true, 1));
        INDArray scale = Transforms.log(Transforms.exp(shifted).sum(true, 1));
        return shifted.subi(scale)
                .reshape('c', batch, time, logits.size(1))
                .permute(0, 2, 1)
                .dup('c');
    }
}
