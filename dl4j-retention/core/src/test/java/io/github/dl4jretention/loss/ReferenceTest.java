package io.github.dl4jretention.loss;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.loss.samediff.LossDescription;
import io.github.dl4jretention.loss.samediff.SameDiffMessages;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.api.OutAndGrad;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

/** Losses and gradients computed by PyTorch in double precision (src/test/resources/reference.json). */
class ReferenceTest {

    private record Case(String name, JsonNode set, JsonNode values, DataType type, boolean ids) {
        RetentionConfiguration configuration() {
            double beta = values.get("beta").asDouble();
            double temperature = values.get("T").asDouble();
            // The reference has no factor T^2, this library has: the same loss at lambda / T^2.
            return RetentionConfiguration.builder()
                    .divergence(
                            beta == 0
                                    ? Divergence.FORWARD_KL
                                    : beta == 1 ? Divergence.REVERSE_KL : Divergence.JENSEN_SHANNON)
                    .beta(beta == 0 || beta == 1 ? 0.5 : beta)
                    .coefficient(values.get("lambda").asDouble() / (temperature * temperature))
                    .temperature(temperature)
                    .build();
        }

        double tolerance() {
            return type == DataType.DOUBLE ? 1e-6 : 1e-4;
        }

        @Override
        public String toString() {
            return name + " " + type + (ids ? " ids" : " distributions");
        }
    }

    static Stream<Case> cases() throws IOException {
        List<Case> cases = new ArrayList<>();
        try (InputStream in = ReferenceTest.class.getResourceAsStream("/reference.json")) {
            for (JsonNode set : new ObjectMapper().readTree(in).get("sets")) {
                for (JsonNode values : set.get("cases")) {
                    String name = "%s %s T=%s lambda=%s mask=%s"
                            .formatted(
                                    set.get("name").asText(),
                                    values.get("div").asText(),
                                    values.get("T"),
                                    values.get("lambda"),
                                    values.get("mask"));
                    for (DataType type : List.of(DataType.DOUBLE, DataType.FLOAT)) {
                        cases.add(new Case(name, set, values, type, true));
                        cases.add(new Case(name, set, values, type, false));
                    }
                }
            }
        }
        return cases.stream();
    }

    @ParameterizedTest
    @MethodSource("cases")
    void layer_matches_PyTorch(Case c) {
        INDArray logits = classesInTheMiddle(c.set.get("student_logits"), c.type);
        INDArray teacher = classesInTheMiddle(c.set.get("teacher_logits"), c.type);
        INDArray mask = matrix(c.values.get("mask"), c.type);
        INDArray ids = matrix(c.set.get("labels"), c.type).reshape(mask.size(0), 1, mask.size(1));
        RetentionConfiguration conf = c.configuration();
        int vocabulary = (int) logits.size(1);
        INDArray target = c.ids ? ids : distributions(ids, vocabulary);
        INDArray labels = PackedLabels.of(target, teacher);

        RetentionOutputLayerRuntime layer = identityLayer(vocabulary, conf, c.type);
        LayerWorkspaceMgr noWorkspaces = LayerWorkspaceMgr.noWorkspaces();
        layer.setInput(logits, noWorkspaces);
        layer.setLabels(labels);
        layer.setMaskArray(mask);
        Pair<?, INDArray> back = layer.backpropGradient(null, noWorkspaces);
        TokenLoss loss = layer.lastTokenLoss();

        double tolerance = c.tolerance();
        double tokens = mask.sumNumber().doubleValue();
        assertRelative(c.values.get("ce").asDouble(), loss.crossEntropy(), tolerance);
        assertRelative(c.values.get("d").asDouble(), loss.divergence(), tolerance);
        assertRelative(c.values.get("loss").asDouble(), loss.total(), tolerance);
        assertEquals(tokens, loss.tokens());
        Networks.assertClose(
                classesInTheMiddle(c.values.get("grad"), c.type),
                back.getSecond().div(tokens),
                tolerance);
    }

    @Test
    void all_cases_of_the_reference_are_used() throws IOException {
        assertEquals(186 * 2 * 2, cases().count());
    }

    @ParameterizedTest
    @MethodSource("cases")
    void SameDiff_loss_matches_PyTorch(Case c) {
        INDArray logits = classesInTheMiddle(c.set.get("student_logits"), c.type)
                .permute(0, 2, 1)
                .dup('c');
        INDArray teacher = classesInTheMiddle(c.set.get("teacher_logits"), c.type)
                .permute(0, 2, 1)
                .dup('c');
        INDArray mask = matrix(c.values.get("mask"), c.type);
        INDArray ids = matrix(c.set.get("labels"), DataType.INT32);
        INDArray labels = c.ids
                ? ids
                : distributions(ids.reshape(ids.size(0), 1, ids.size(1)).castTo(c.type), (int) logits.size(2))
                        .permute(0, 2, 1)
                        .dup('c');
        SameDiff sd = SameDiff.create();
        sd.var("logits", logits);
        sd.placeHolder("labels", labels.dataType(), c.ids ? new long[] {-1, -1} : new long[] {-1, -1, logits.size(2)});
        sd.placeHolder("weights", c.type, -1, -1);
        RetentionLoss.add(sd, "logits", "labels", "weights", null, c.configuration());
        SameDiffMessages.createGradFunctionQuietly(sd);
        OutAndGrad result = sd.calculateGradientsAndOutputs(
                Map.of("labels", labels, "weights", mask, RetentionLoss.TEACHER_LOGITS, teacher),
                List.of(RetentionLoss.LOSS, LossDescription.CROSS_ENTROPY_SUM, LossDescription.DIVERGENCE_SUM),
                List.of("logits"));

        double tokens = mask.sumNumber().doubleValue();
        double examples = logits.size(0);
        Map<String, INDArray> values = result.getOutputs();
        assertRelative(
                c.values.get("ce").asDouble(),
                values.get(LossDescription.CROSS_ENTROPY_SUM).getDouble(0) / tokens,
                c.tolerance());
        assertRelative(
                c.values.get("d").asDouble(),
                values.get(LossDescription.DIVERGENCE_SUM).getDouble(0) / tokens,
                c.tolerance());
        assertRelative(
                c.values.get("loss").asDouble(),
                values.get(RetentionLoss.LOSS).getDouble(0) * examples / tokens,
                c.tolerance());
        Networks.assertClose(
                classesInTheMiddle(c.values.get("grad"), c.type).permute(0, 2, 1),
                result.getGradients().get("logits").mul(examples / tokens),
                c.tolerance());
    }

    static void assertRelative(double expected, double actual, double tolerance) {
        assertEquals(expected, actual, tolerance * Math.max(1, Math.abs(expected)));
    }

    /** A layer whose logits are its input. */
    static RetentionOutputLayerRuntime identityLayer(int vocabulary, RetentionConfiguration conf, DataType type) {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder()
                .dataType(type)
                .updater(new Sgd(1))
                .list()
                .layer(new RetentionOutputLayer.Builder(conf)
                        .nIn(vocabulary)
                        .nOut(vocabulary)
                        .hasBias(false)
                        .dataFormat(RNNFormat.NCW)
                        .build())
                .build());
        network.init();
        network.initGradientsView();
        network.setParam("0_W", Nd4j.eye(vocabulary).castTo(type));
        return (RetentionOutputLayerRuntime) network.getOutputLayer();
    }

    static INDArray distributions(INDArray ids, int vocabulary) {
        INDArray labels = Nd4j.zeros(ids.dataType(), ids.size(0), vocabulary, ids.size(2));
        for (int b = 0; b < ids.size(0); b++) {
            for (int t = 0; t < ids.size(2); t++) {
                labels.putScalar(new int[] {b, ids.getInt(b, 0, t), t}, 1);
            }
        }
        return labels;
    }

    static INDArray classesInTheMiddle(JsonNode batchTimeClass, DataType type) {
        INDArray[] examples = new INDArray[batchTimeClass.size()];
        for (int i = 0; i < examples.length; i++) {
            examples[i] = matrix(batchTimeClass.get(i), type);
        }
        return Nd4j.stack(0, examples).permute(0, 2, 1).dup('c');
    }

    static INDArray matrix(JsonNode rows, DataType type) {
        INDArray matrix = Nd4j.create(type, rows.size(), rows.get(0).size());
        for (int i = 0; i < rows.size(); i++) {
            for (int j = 0; j < rows.get(i).size(); j++) {
                matrix.putScalar(i, j, rows.get(i).get(j).asDouble());
            }
        }
        return matrix;
    }
}
