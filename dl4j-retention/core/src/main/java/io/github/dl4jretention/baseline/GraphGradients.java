package io.github.dl4jretention.baseline;

import io.github.dl4jretention.internal.Configurations;
import io.github.dl4jretention.internal.EmbeddedIds;
import io.github.dl4jretention.teacher.SoftmaxOutput;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.deeplearning4j.nn.conf.BackpropType;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.MultiDataSet;

/** Of a copy of a ComputationGraph. */
final class GraphGradients implements ExampleGradients {

    private final ComputationGraph graph;
    private final EmbeddedIds ids;
    private final int[] classAxes;

    /** @param ownLabels whether labels will be given in place of the examples' */
    GraphGradients(ComputationGraph original, boolean ownLabels) {
        ComputationGraphConfiguration conf = Configurations.copy(original.getConfiguration());
        conf.getVertices().replaceAll((name, vertex) -> InferenceConfiguration.of(vertex));
        conf.setBackpropType(BackpropType.Standard);
        List<String> outputs = conf.getNetworkOutputs();
        classAxes = new int[outputs.size()];
        for (int i = 0; i < classAxes.length && ownLabels; i++) {
            classAxes[i] = SoftmaxOutput.classAxis(SoftmaxOutput.require(original, outputs.get(i)));
            LayerVertex vertex =
                    (LayerVertex) Objects.requireNonNull(conf.getVertices().get(outputs.get(i)));
            InferenceConfiguration.takeDistributions(vertex.getLayerConf().getLayer());
        }
        ids = EmbeddedIds.of(conf);
        graph = new ComputationGraph(conf);
        graph.init(original.params().dup(), false);
    }

    @Override
    public Map<String, INDArray> parameters() {
        return ParameterArrays.of(graph);
    }

    @Override
    public INDArray[] probabilities(MultiDataSet example) {
        return graph.output(false, example.getFeatures(), example.getFeaturesMaskArrays(), null);
    }

    @Override
    public int classAxis(int output, int rank) {
        return rank == 2 ? 1 : classAxes[output];
    }

    @Override
    public Map<String, INDArray> gradients(MultiDataSet example, @Nullable List<INDArray> labels) {
        ids.require(example.getFeatures(), example.getFeaturesMaskArrays());
        graph.setInputs(example.getFeatures());
        graph.setLabels(labels == null ? example.getLabels() : labels.toArray(INDArray[]::new));
        graph.setLayerMaskArrays(example.getFeaturesMaskArrays(), example.getLabelsMaskArrays());
        graph.computeGradientAndScore();
        graph.clearLayerMaskArrays();
        INDArray gradient = graph.getGradientsViewArray();
        return Map.of(ParameterArrays.PARAMS, gradient.reshape(gradient.length()));
    }
}
