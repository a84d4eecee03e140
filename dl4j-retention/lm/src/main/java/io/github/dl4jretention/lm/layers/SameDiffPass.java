package io.github.dl4jretention.lm.layers;

import io.github.dl4jretention.loss.samediff.SameDiffMessages;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.UnaryOperator;
import org.deeplearning4j.nn.layers.samediff.DL4JSameDiffMemoryMgr;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.array.SingleThreadArrayHolder;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * A layer's formula as SameDiff operations: its value, and the gradients of all that goes in. Everything that goes in is
 * a placeholder. HALF and BFLOAT16 are computed in FLOAT. All arrays are made outside of workspaces: constants and axes of
 * the graph must outlive them.
 */
final class SameDiffPass {

    /** What {@link #forward} gives. */
    static final String OUTPUT = "output";

    private static final String OUTPUT_GRADIENT = "outputGradient";
    private static final String GRADIENT = "grad";

    private final SameDiff sd = SameDiff.create();

    /** What makes the output of placeholders. */
    interface Formula {
        SDVariable output(SameDiff sd, Map<String, SDVariable> placeholders);
    }

    /**
     * @param like   an example of all that goes in, of the type to compute in
     * @param trains names of what has gradients
     */
    SameDiffPass(Map<String, INDArray> like, String[] trains, Formula formula) {
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            define(like, trains, formula);
        }
    }

    private void define(Map<String, INDArray> like, String[] trains, Formula formula) {
        sd.setArrayHolders(new SingleThreadArrayHolder(), new SingleThreadArrayHolder(), false);
        Map<String, SDVariable> placeholders = new HashMap<>();
        like.forEach((name, array) -> placeholders.put(name, sd.placeHolder(name, array.dataType(), array.shape())));
        SDVariable output = formula.output(sd, placeholders).rename(OUTPUT);
        SDVariable gradient = sd.placeHolder(OUTPUT_GRADIENT, output.dataType(), output.getShape());
        output.mul(gradient).sum().markAsLoss();
        SameDiffMessages.createGradFunctionQuietly(sd, trains);
    }

    /** {@return the type that arrays of a type are computed in} */
    static DataType type(DataType type) {
        return type == DataType.DOUBLE ? type : DataType.FLOAT;
    }

    /** {@return the arrays in the type to compute in} */
    static Map<String, INDArray> cast(Map<String, INDArray> arrays) {
        Map<String, INDArray> cast = new LinkedHashMap<>();
        arrays.forEach((name, array) -> cast.put(name, array.castTo(type(array.dataType()))));
        return cast;
    }

    /** {@return variables by name} */
    Map<String, INDArray> forward(Map<String, INDArray> placeholders, String... names) {
        return run(sd, graph -> graph, () -> sd.output(placeholders, names));
    }

    /**
     * {@return gradients by name}
     *
     * @param outputGradient of the output
     */
    Map<String, INDArray> backward(Map<String, INDArray> placeholders, INDArray outputGradient, String... names) {
        Map<String, INDArray> all = new HashMap<>(placeholders);
        all.put(OUTPUT_GRADIENT, outputGradient);
        return run(sd, graph -> graph.getFunction(GRADIENT), () -> sd.calculateGradients(all, names));
    }

    private interface Work {
        Map<String, INDArray> get();
    }

    private static Map<String, INDArray> run(SameDiff sd, UnaryOperator<SameDiff> computed, Work work) {
        try (MemoryWorkspace outside = Nd4j.getWorkspaceManager().scopeOutOfWorkspaces()) {
            SameDiff graph = computed.apply(sd);
            graph.getSessions()
                    .computeIfAbsent(Thread.currentThread().getId(), thread -> SameDiff.getInferenceFactory()
                            .create(graph))
                    .setMmgr(new DL4JSameDiffMemoryMgr(null, null, null, null));
            return work.get();
        } finally {
            sd.clearPlaceholders(true);
            sd.clearOpInputs();
        }
    }
}
