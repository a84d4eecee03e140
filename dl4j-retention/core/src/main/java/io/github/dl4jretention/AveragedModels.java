package io.github.dl4jretention;

import io.github.dl4jretention.merge.Merge;
import io.github.dl4jretention.merge.MergeMethod;
import io.github.dl4jretention.teacher.Teacher;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.function.UnaryOperator;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.VariableType;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * What differs between kinds of models.
 *
 * @param plain      a student without retention, a copy
 * @param teacher    asks a plain model
 * @param parameters the model's own arrays by their names
 * @param merge      of plain models
 * @param <M>        the kind
 */
record AveragedModels<M>(
        UnaryOperator<M> plain,
        Function<M, Teacher> teacher,
        Function<M, Map<String, INDArray>> parameters,
        Function<MergeMethod, Merge<M>> merge) {

    static final AveragedModels<MultiLayerNetwork> NETWORKS = new AveragedModels<>(
            Retention::detach, Teacher::of, network -> Map.of(Averaging.PARAMS, network.params()), Merge::networks);
    static final AveragedModels<ComputationGraph> GRAPHS = new AveragedModels<>(
            Retention::detach, Teacher::of, graph -> Map.of(Averaging.PARAMS, graph.params()), Merge::graphs);

    static AveragedModels<SameDiff> ofSameDiff(String logits, String... features) {
        return new AveragedModels<>(
                Retention::detach,
                model -> Teacher.of(model, logits, features),
                AveragedModels::variables,
                Merge::sameDiffs);
    }

    private static Map<String, INDArray> variables(SameDiff model) {
        Map<String, INDArray> variables = new TreeMap<>();
        for (SDVariable variable : model.variables()) {
            if (variable.getVariableType() == VariableType.VARIABLE
                    && variable.dataType().isFPType()) {
                variables.put(variable.name(), variable.getArr());
            }
        }
        return variables;
    }
}
