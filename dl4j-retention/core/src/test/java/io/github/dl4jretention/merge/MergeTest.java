package io.github.dl4jretention.merge;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

class MergeTest {

    private static final List<MergeMethod> WITH_BASE = List.of(
            MergeMethod.wiseFt(0.3),
            MergeMethod.slerp(0.3),
            MergeMethod.expo(0.3),
            MergeMethod.taskArithmetic().withLambda(0.7),
            MergeMethod.ties(),
            MergeMethod.dareLinear(5),
            MergeMethod.dareTies(5));

    @TempDir
    private Path folder;

    private Path save(MultiLayerNetwork network, String name) throws IOException {
        Path file = folder.resolve(name);
        network.save(file.toFile(), true);
        return file;
    }

    private static double density(MergeMethod method) {
        return method instanceof TaskVectorMerge vectors
                        && vectors.sparsification() != TaskVectorMerge.Sparsification.NONE
                ? 0.4
                : 1;
    }

    @Test
    void networks_are_averaged() {
        MultiLayerNetwork start = Networks.lstm(DataType.DOUBLE, 1);
        MultiLayerNetwork tuned = Networks.moved(start, 0.5, 2);
        INDArray before = start.params().dup();
        MultiLayerNetwork merged = Merge.networks(MergeMethod.wiseFt(0.25))
                .base(start)
                .model(tuned)
                .merge();
        assertClose(start.params().mul(0.75).add(tuned.params().mul(0.25)), merged.params(), 1e-15);
        assertClose(before, start.params(), 0);
        INDArray features = Networks.sequences(DataType.DOUBLE, 2, 3).getFeatures();
        MultiLayerNetwork expected = start.clone();
        expected.setParams(start.params().mul(0.75).add(tuned.params().mul(0.25)));
        assertClose(expected.output(features), merged.output(features), 1e-14);
        merged.params().addi(1);
        assertClose(before, start.params(), 0);
    }

    @Test
    void floats_have_the_identities_bit_for_bit() {
        MultiLayerNetwork start = Networks.lstm(DataType.FLOAT, 1);
        MultiLayerNetwork tuned = Networks.moved(start, 0.5, 2);
        for (MergeMethod method : List.of(MergeMethod.wiseFt(0.3), MergeMethod.slerp(0.3), MergeMethod.expo(0.3))) {
            MultiLayerNetwork itself =
                    Merge.networks(method).base(tuned).model(tuned).merge();
            assertClose(tuned.params(), itself.params(), 0);
        }
        for (MergeMethod method : List.of(
                MergeMethod.taskArithmetic(), MergeMethod.ties(), MergeMethod.dareLinear(5), MergeMethod.dareTies(5))) {
            assertClose(
                    tuned.params(),
                    Merge.networks(method).base(start).model(tuned).merge().params(),
                    0);
            assertClose(
                    start.params(),
                    Merge.networks(method).base(start).model(tuned, 0).merge().params(),
                    0);
        }
        for (MergeMethod method : List.of(MergeMethod.wiseFt(1), MergeMethod.slerp(1), MergeMethod.expo(0))) {
            assertClose(
                    tuned.params(),
                    Merge.networks(method).base(start).model(tuned).merge().params(),
                    0);
        }
        for (MergeMethod method : List.of(MergeMethod.wiseFt(0), MergeMethod.slerp(0))) {
            assertClose(
                    start.params(),
                    Merge.networks(method).base(start).model(tuned).merge().params(),
                    0);
        }
    }

    @Test
    void graphs_are_averaged() {
        ComputationGraph one = Networks.graph(DataType.DOUBLE, 1);
        ComputationGraph two = Networks.graph(DataType.DOUBLE, 2);
        ComputationGraph merged =
                Merge.graphs(MergeMethod.linear()).model(one, 3).model(two, 1).merge();
        assertClose(one.params().mul(0.75).add(two.params().mul(0.25)), merged.params(), 1e-15);
    }

    @Test
    void variables_of_SameDiff_graphs_are_averaged() {
        SameDiff one = sameDiff(1, 3);
        SameDiff two = sameDiff(2, 3);
        SameDiff merged =
                Merge.sameDiffs(MergeMethod.linear()).models(List.of(one, two)).merge();
        for (String name : List.of("w", "b")) {
            INDArray expected = one.getVariable(name)
                    .getArr()
                    .add(two.getVariable(name).getArr())
                    .div(2);
            assertClose(expected, merged.getVariable(name).getArr(), 1e-15);
        }
        assertClose(one.getVariable("c").getArr(), merged.getVariable("c").getArr(), 0);
        String message = assertThrows(IllegalArgumentException.class, () -> Merge.sameDiffs(MergeMethod.linear())
                        .models(List.of(one, sameDiff(1, 4)))
                        .merge())
                .getMessage();
        assertTrue(message.contains("model 0") && message.contains("model 1") && message.contains("b "), message);
    }

    private static SameDiff sameDiff(long seed, int size) {
        Nd4j.getRandom().setSeed(seed);
        SameDiff sd = SameDiff.create();
        var w = sd.var("w", Nd4j.rand(DataType.DOUBLE, 2, size).dup('f'));
        var b = sd.var("b", Nd4j.rand(DataType.DOUBLE, 1, size));
        sd.constant("c", Nd4j.scalar(2.0));
        sd.placeHolder("x", DataType.DOUBLE, -1, 2).mmul(w).add("y", b);
        return sd;
    }

    @Test
    void files_are_merged_as_networks_are_bit_for_bit() throws IOException {
        MultiLayerNetwork start = Networks.lstm(DataType.FLOAT, 1);
        MultiLayerNetwork tuned = Networks.moved(start, 0.5, 2);
        start.fit(Networks.sequences(DataType.FLOAT, 3, 1));
        assertFilesMergeAsNetworks(start, tuned);
    }

    @Test
    void files_of_half_precision_are_merged_as_networks_are_bit_for_bit() throws IOException {
        MultiLayerNetwork start = Networks.dense(DataType.FLOAT16, 1, true);
        assertFilesMergeAsNetworks(start, Networks.moved(start, 0.5, 2));
    }

    /** Halfway between two neighbours, 1 and 1 + 1/1024 in HALF, is the even one; of 1 + 1/1024 and 1 + 2/1024 too. */
    @Test
    void files_are_rounded_to_even_as_networks_are() throws IOException {
        double ulp = 1 / 1024.0;
        for (double[] odd : new double[][] {{1, 1 + ulp, 1}, {1 + ulp, 1 + 2 * ulp, 1 + 2 * ulp}}) {
            MultiLayerNetwork start = Networks.dense(DataType.FLOAT16, 1, true);
            start.params().assign(odd[0]);
            MultiLayerNetwork tuned = start.clone();
            tuned.params().assign(odd[1]);
            INDArray expected = Nd4j.valueArrayOf(start.params().shape(), odd[2], DataType.FLOAT16);
            MergeMethod half = MergeMethod.wiseFt(0.5);
            assertClose(
                    expected,
                    Merge.networks(half).base(start).model(tuned).merge().params(),
                    0);
            Path out = Merge.files(half, folder.resolve("out.zip"))
                    .base(save(start, "one.zip"))
                    .model(save(tuned, "two.zip"))
                    .merge();
            assertClose(expected, MultiLayerNetwork.load(out.toFile(), false).params(), 0);
        }
    }

    private void assertFilesMergeAsNetworks(MultiLayerNetwork start, MultiLayerNetwork tuned) throws IOException {
        Path startFile = save(start, "start.zip");
        Path tunedFile = save(tuned, "tuned.zip");
        for (MergeMethod method : WITH_BASE) {
            MultiLayerNetwork expected = Merge.networks(method)
                    .base(start)
                    .model(tuned, 1, density(method))
                    .merge();
            Path out = folder.resolve("merged.zip");
            assertEquals(
                    out,
                    Merge.files(method, out)
                            .base(startFile)
                            .model(tunedFile, 1, density(method))
                            .merge());
            MultiLayerNetwork merged = MultiLayerNetwork.load(out.toFile(), true);
            assertClose(expected.params(), merged.params(), 0);
            assertEquals(
                    start.getLayerWiseConfigurations().toJson(),
                    merged.getLayerWiseConfigurations().toJson());
            byte[] first = Files.readAllBytes(out);
            Merge.files(method, out)
                    .base(startFile)
                    .model(tunedFile, 1, density(method))
                    .merge();
            assertArrayEquals(first, Files.readAllBytes(out));
        }
        assertFalse(Files.exists(folder.resolve("merged.zip.part")));
    }

    @Test
    void files_of_graphs_are_merged() throws IOException {
        ComputationGraph one = Networks.graph(DataType.DOUBLE, 1);
        ComputationGraph two = Networks.graph(DataType.DOUBLE, 2);
        one.save(folder.resolve("one.zip").toFile(), true);
        two.save(folder.resolve("two.zip").toFile(), true);
        Path out = Merge.files(MergeMethod.linear(), folder.resolve("out.zip"))
                .models(List.of(folder.resolve("one.zip"), folder.resolve("two.zip")))
                .merge();
        assertClose(
                one.params().add(two.params()).div(2),
                ComputationGraph.load(out.toFile(), false).params(),
                1e-15);
    }

    @Test
    void parameters_are_taken_one_by_one() {
        MultiLayerNetwork network = Networks.stacked(
                DataType.DOUBLE,
                1,
                new Bidirectional(
                        Bidirectional.Mode.CONCAT,
                        new LSTM.Builder().nIn(4).nOut(3).build()),
                new RnnOutputLayer.Builder(LossFunction.MCXENT)
                        .nIn(6)
                        .nOut(5)
                        .activation(Activation.SOFTMAX)
                        .build());
        ModelArchitecture architecture = ModelArchitecture.of(network.getLayerWiseConfigurations());
        assertEquals(
                List.of("0_fW", "0_fRW", "0_fb", "0_bW", "0_bRW", "0_bb", "1_W", "1_b"),
                architecture.parameters().stream()
                        .map(ModelArchitecture.Parameter::name)
                        .toList());
        long offset = 0;
        ParameterSource source = NetworkAccess.NETWORKS.open(network);
        for (ModelArchitecture.Parameter parameter : architecture.parameters()) {
            INDArray table = network.getParam(parameter.name());
            double[] expected = network.params()
                    .reshape(network.numParams())
                    .get(org.nd4j.linalg.indexing.NDArrayIndex.interval(offset, offset + table.length()))
                    .toDoubleVector();
            offset += table.length();
            assertEquals(table.length(), parameter.length());
            try {
                assertArrayEquals(expected, source.next());
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }

    @Test
    void files_that_are_no_models_are_refused() throws IOException {
        Path good = save(Networks.lstm(DataType.FLOAT, 1), "good.zip");
        byte[] bytes = Files.readAllBytes(good);
        Path torn = Files.write(folder.resolve("torn.zip"), java.util.Arrays.copyOf(bytes, bytes.length / 2));
        Path text = Files.writeString(folder.resolve("text.zip"), "no model");
        for (Path bad : List.of(torn, text, folder.resolve("missing.zip"))) {
            Merge<Path> merge = Merge.files(MergeMethod.linear(), folder.resolve("out.zip"))
                    .model(good)
                    .model(bad);
            String message =
                    assertThrows(UncheckedIOException.class, merge::merge).getMessage();
            assertTrue(message.contains(bad.toString()), message);
            assertFalse(Files.exists(folder.resolve("out.zip")));
        }
    }

    @ParameterizedTest
    @ValueSource(doubles = {Double.NaN, Double.POSITIVE_INFINITY})
    void models_that_are_not_finite_are_refused(double value) throws IOException {
        MultiLayerNetwork start = Networks.lstm(DataType.FLOAT, 1);
        MultiLayerNetwork broken = start.clone();
        broken.getParam("0_RW").putScalar(3, value);
        String expected = "models: expected finite parameters, got " + value + " in 0_RW [7, 28] of ";
        for (MergeMethod method : WITH_BASE) {
            Merge<MultiLayerNetwork> merge = Merge.networks(method).base(start).model(broken);
            assertEquals(
                    expected + "model 0",
                    assertThrows(IllegalArgumentException.class, merge::merge).getMessage());
        }
        Merge<MultiLayerNetwork> first =
                Merge.networks(MergeMethod.ties()).base(broken).model(start);
        assertEquals(
                expected + "base",
                assertThrows(IllegalArgumentException.class, first::merge).getMessage());
        Path out = folder.resolve("out.zip");
        Path file = save(broken, "broken.zip");
        Merge<Path> files = Merge.files(MergeMethod.linear(), out).models(List.of(save(start, "start.zip"), file));
        assertEquals(
                expected + "model 1 " + file,
                assertThrows(IllegalArgumentException.class, files::merge).getMessage());
        assertFalse(Files.exists(out));
    }

    @Test
    void models_that_a_method_does_not_take_are_refused() {
        MultiLayerNetwork network = Networks.lstm(DataType.FLOAT, 1);
        assertThrows(
                IllegalArgumentException.class,
                () -> Merge.networks(MergeMethod.ties()).model(network).merge());
        assertThrows(
                IllegalArgumentException.class,
                () -> Merge.networks(MergeMethod.ties()).base(network).merge());
        assertThrows(IllegalArgumentException.class, () -> Merge.networks(MergeMethod.linear())
                .base(network)
                .model(network)
                .merge());
        assertThrows(IllegalArgumentException.class, () -> Merge.networks(MergeMethod.slerp(0.5))
                .base(network)
                .model(network)
                .model(network)
                .merge());
        assertThrows(IllegalArgumentException.class, () -> Merge.networks(MergeMethod.slerp(0.5))
                .base(network)
                .model(network, 0.5)
                .merge());
        assertThrows(IllegalArgumentException.class, () -> Merge.networks(MergeMethod.ties())
                .model(network, Double.NaN));
        assertThrows(IllegalArgumentException.class, () -> Merge.networks(MergeMethod.ties())
                .model(network, 1, 0));
    }

    @Test
    void the_greedy_soup_keeps_what_does_no_harm() {
        // Loss is the distance of the average to 10.
        List<Double> chosen = GreedySoup.choose(List.of(4.0, 11.0, 20.0, 9.0), MergeTest::distance);
        // 11 and 9 are at distance 1 each, 11 comes first; with 9 it is 10; then 4 and 20 would harm.
        assertEquals(List.of(11.0, 9.0), chosen);
        assertEquals(List.of(5.0), GreedySoup.choose(List.of(5.0), MergeTest::distance));
        assertEquals(
                List.of(1.0, 1.0),
                GreedySoup.choose(List.of(1.0, 1.0, Double.NaN), MergeTest::distance),
                "NaN is worst, equal is no worse");
        assertThrows(
                IllegalArgumentException.class, () -> GreedySoup.choose(new ArrayList<Double>(), MergeTest::distance));
    }

    private static double distance(List<Double> soup) {
        return Math.abs(soup.stream().mapToDouble(Double::doubleValue).average().orElse(0) - 10);
    }
}
