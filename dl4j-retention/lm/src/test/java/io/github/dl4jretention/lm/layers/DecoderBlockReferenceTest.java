package io.github.dl4jretention.lm.layers;

import static io.github.dl4jretention.lm.layers.ReferenceBlocks.assertRelative;
import static io.github.dl4jretention.lm.layers.ReferenceBlocks.flat;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.dl4jretention.lm.layers.ReferenceBlocks.Case;
import java.util.stream.Stream;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

class DecoderBlockReferenceTest {

    static Stream<Arguments> cases() {
        return ReferenceBlocks.all().stream().flatMap(c -> Stream.of(DataType.FLOAT, DataType.DOUBLE)
                .flatMap(type -> Stream.of(true, false).map(r -> Arguments.of(c, type, r))));
    }

    @ParameterizedTest
    @MethodSource("cases")
    void valuesAndAllGradientsArePyTorchs(Case reference, DataType type, boolean recompute) {
        double tolerance = type == DataType.FLOAT ? 1e-4 : 1e-9;
        DecoderBlockRuntime layer =
                reference.layer(reference.builder().recompute(recompute).build(), type);
        LayerWorkspaceMgr workspaces = LayerWorkspaceMgr.noWorkspaces();
        layer.setMaskArray(reference.mask(type));

        INDArray output = layer.activate(reference.input(type), true, workspaces);
        assertRelative("output", flat(reference.output(type)), flat(output), tolerance);

        Pair<Gradient, INDArray> back = layer.backpropGradient(reference.outputGradient(type), workspaces);
        assertRelative("input", flat(reference.inputGradient(type)), flat(back.getSecond()), tolerance);
        assertEquals(
                reference.parameters(), back.getFirst().gradientForVariable().size());
        back.getFirst()
                .gradientForVariable()
                .forEach((name, gradient) ->
                        assertRelative(name, reference.gradient(name), flat(gradient, 'f'), tolerance));
    }

    static Stream<Arguments> options() {
        return ReferenceBlocks.all().stream().map(Arguments::of);
    }

    @ParameterizedTest
    @MethodSource("options")
    void gradientsAreCentralDifferences(Case reference) {
        DecoderBlockRuntime layer = reference.layer(reference.builder().build(), DataType.DOUBLE);
        LayerWorkspaceMgr workspaces = LayerWorkspaceMgr.noWorkspaces();
        layer.setMaskArray(reference.mask(DataType.DOUBLE));
        INDArray input = reference.input(DataType.DOUBLE);
        INDArray weights = reference.outputGradient(DataType.DOUBLE);
        layer.activate(input, true, workspaces);
        layer.backpropGradient(weights, workspaces);
        INDArray gradients = layer.getGradientsViewArray().dup();
        double step = 1e-5;
        double[] expected = new double[(int) gradients.length()];
        for (int i = 0; i < expected.length; i++) {
            double value = layer.params().getDouble(i);
            layer.params().putScalar(i, value + step);
            double above = layer.activate(input, false, workspaces)
                    .mul(weights)
                    .sumNumber()
                    .doubleValue();
            layer.params().putScalar(i, value - step);
            double below = layer.activate(input, false, workspaces)
                    .mul(weights)
                    .sumNumber()
                    .doubleValue();
            layer.params().putScalar(i, value);
            expected[i] = (above - below) / (2 * step);
        }
        assertRelative("parameters", expected, flat(gradients), 1e-7);
    }

    @ParameterizedTest
    @MethodSource("options")
    void stepsOfTimeGiveTheWholeWindow(Case reference) {
        DecoderBlockRuntime layer = reference.layer(reference.builder().build(), DataType.DOUBLE);
        LayerWorkspaceMgr workspaces = LayerWorkspaceMgr.noWorkspaces();
        INDArray input = reference.input(DataType.DOUBLE);
        INDArray mask = reference.mask(DataType.DOUBLE);
        layer.setMaskArray(mask);
        INDArray whole = layer.activate(input, false, workspaces);
        INDArray pieces = Nd4j.create(DataType.DOUBLE, whole.shape());
        int from = 0;
        for (int length : new int[] {2, 1, 2}) {
            var interval = org.nd4j.linalg.indexing.NDArrayIndex.interval(from, from + length);
            var all = org.nd4j.linalg.indexing.NDArrayIndex.all();
            layer.setMaskArray(mask == null ? null : mask.get(all, interval));
            pieces.put(
                    new org.nd4j.linalg.indexing.INDArrayIndex[] {all, all, interval},
                    layer.rnnTimeStep(input.get(all, all, interval), workspaces));
            from += length;
        }
        assertRelative("output", flat(whole), flat(pieces), 1e-12);
    }

    /** Threads share a single token in another way than many. */
    @ParameterizedTest
    @MethodSource("options")
    void stepsOfOneTokenGiveTheWholeWindow(Case reference) {
        DecoderBlockRuntime layer = reference.layer(reference.builder().build(), DataType.DOUBLE);
        LayerWorkspaceMgr workspaces = LayerWorkspaceMgr.noWorkspaces();
        INDArray input = reference.input(DataType.DOUBLE);
        INDArray mask = reference.mask(DataType.DOUBLE);
        layer.setMaskArray(mask);
        INDArray whole = layer.activate(input, false, workspaces);
        var all = org.nd4j.linalg.indexing.NDArrayIndex.all();
        for (int i = 0; i < reference.batch(); i++) {
            var sequence = org.nd4j.linalg.indexing.NDArrayIndex.interval(i, i + 1);
            layer.rnnClearPreviousState();
            for (int t = 0; t < reference.time(); t++) {
                var token = org.nd4j.linalg.indexing.NDArrayIndex.interval(t, t + 1);
                layer.setMaskArray(mask == null ? null : mask.get(sequence, token));
                INDArray output = layer.rnnTimeStep(input.get(sequence, all, token), workspaces);
                assertRelative(i + " " + t, flat(whole.get(sequence, all, token)), flat(output), 1e-12);
            }
        }
    }
}
