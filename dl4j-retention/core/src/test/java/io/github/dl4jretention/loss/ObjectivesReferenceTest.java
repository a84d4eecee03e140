package io.github.dl4jretention.loss;

import static io.github.dl4jretention.loss.ReferenceTest.assertRelative;
import static io.github.dl4jretention.loss.ReferenceTest.classesInTheMiddle;
import static io.github.dl4jretention.loss.ReferenceTest.distributions;
import static io.github.dl4jretention.loss.ReferenceTest.matrix;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.loss.fused.FusedLoss;
import io.github.dl4jretention.loss.samediff.LossDescription;
import io.github.dl4jretention.loss.samediff.SameDiffLossPath;
import io.github.dl4jretention.loss.samediff.SameDiffMessages;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import java.util.zip.GZIPInputStream;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.api.OutAndGrad;
import org.nd4j.common.primitives.Pair;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

/** Weighted losses and their gradients, by PyTorch in double precision (src/test/resources/objectives.json.gz). */
class ObjectivesReferenceTest {

    static JsonNode reference() throws IOException {
        try (InputStream in = ObjectivesReferenceTest.class.getResourceAsStream("/objectives.json.gz")) {
            return new ObjectMapper().readTree(new GZIPInputStream(in));
        }
    }

    private record Case(JsonNode set, JsonNode values, DataType type, boolean ids) {

        RetentionConfiguration configuration() {
            return RetentionConfiguration.builder()
                    .coefficient(values.get("lambda").asDouble())
                    .tokenWeight(weight(values.get("weight").asText()))
                    .build();
        }

        private static @Nullable TokenWeight weight(String name) {
            double parameter = name.matches("\\D+") ? 0 : Double.parseDouble(name.replaceAll("^\\D+", ""));
            return switch (name.replaceAll("[\\d.]+$", "")) {
                case "none" -> null;
                case "dft" -> TokenWeight.dft();
                case "eaft" -> TokenWeight.eaft((int) parameter);
                case "stm" -> TokenWeight.selective(parameter);
                case "flow" -> TokenWeight.flow(parameter);
                case "talr" -> TokenWeight.talr(parameter);
                default -> throw new IllegalArgumentException(name);
            };
        }

        INDArray logits() {
            return classesInTheMiddle(set.get("student_logits"), type);
        }

        INDArray teacher() {
            return classesInTheMiddle(set.get("teacher_logits"), type);
        }

        INDArray mask() {
            return matrix(values.get("mask"), type);
        }

        INDArray target() {
            INDArray mask = mask();
            INDArray ids = matrix(set.get("labels"), type).reshape(mask.size(0), 1, mask.size(1));
            return ids() ? ids : distributions(ids, (int) logits().size(1));
        }

        double tolerance() {
            return type == DataType.DOUBLE ? 1e-6 : 1e-4;
        }

        void assertLoss(TokenLoss loss) {
            double tokens = mask().sumNumber().doubleValue();
            assertRelative(values.get("ce").asDouble(), loss.crossEntropy(), tolerance());
            assertRelative(values.get("weighted_ce").asDouble(), loss.objectiveSum() / tokens, tolerance());
            assertRelative(values.get("kl").asDouble(), loss.divergence(), tolerance());
            assertRelative(values.get("loss").asDouble(), loss.total(), tolerance());
            assertEquals(tokens, loss.tokens());
        }

        void assertGradient(INDArray ofSums) {
            Networks.assertClose(
                    classesInTheMiddle(values.get("grad"), type),
                    ofSums.div(mask().sumNumber().doubleValue()),
                    tolerance());
        }

        @Override
        public String toString() {
            return "%s %s lambda=%s mask=%s %s %s"
                    .formatted(
                            set.get("name").asText(),
                            values.get("weight").asText(),
                            values.get("lambda"),
                            values.get("mask"),
                            type,
                            ids ? "ids" : "distributions");
        }
    }

    static Stream<Case> cases() throws IOException {
        List<Case> cases = new ArrayList<>();
        for (JsonNode set : reference().get("token_weights")) {
            for (JsonNode values : set.get("cases")) {
                for (DataType type : List.of(DataType.DOUBLE, DataType.FLOAT)) {
                    cases.add(new Case(set, values, type, true));
                    cases.add(new Case(set, values, type, false));
                }
            }
        }
        return cases.stream();
    }

    @Test
    void all_cases_of_the_reference_are_used() throws IOException {
        assertEquals(120 * 2 * 2, cases().count());
    }

    /** FLOAT is fused, DOUBLE is by SameDiff; at coefficient 0 too. */
    @ParameterizedTest
    @MethodSource("cases")
    void layer_matches_PyTorch(Case c) {
        INDArray logits = c.logits();
        RetentionOutputLayerRuntime layer =
                ReferenceTest.identityLayer((int) logits.size(1), c.configuration(), c.type);
        LayerWorkspaceMgr noWorkspaces = LayerWorkspaceMgr.noWorkspaces();
        layer.setInput(logits, noWorkspaces);
        layer.setLabels(PackedLabels.of(c.target(), c.teacher()));
        layer.setMaskArray(c.mask());
        Pair<?, INDArray> back = layer.backpropGradient(null, noWorkspaces);
        c.assertLoss(layer.lastTokenLoss());
        c.assertGradient(back.getSecond());
        double score = layer.computeScore(0, true, noWorkspaces);
        layer.setMaskArray(c.mask().dup());
        assertEquals(score, layer.computeScore(0, false, noWorkspaces), 1e-12 + c.tolerance() * Math.abs(score));
        assertEquals(
                score * logits.size(0),
                layer.computeScoreForExamples(0, noWorkspaces).sumNumber().doubleValue(),
                c.tolerance() * Math.max(1, score));
    }

    @ParameterizedTest
    @MethodSource("cases")
    void every_path_of_a_layer_matches_PyTorch(Case c) {
        RetentionConfiguration conf = c.configuration();
        INDArray logits = c.logits();
        int vocabulary = (int) logits.size(1);
        for (LossPath path : paths(conf, c.type, vocabulary)) {
            TokenBatch batch = new TokenBatch(
                    logits,
                    PackedLabels.of(c.target(), c.teacher()),
                    c.mask(),
                    vocabulary,
                    1,
                    conf.getCoefficient(),
                    false);
            if (conf.getTokenWeight() != null && conf.getTokenWeight().needsTeacher()) {
                Objective.weighByTeacher(batch, conf.getTokenWeight());
            }
            INDArray rows = LabelLayout.rows(logits, 1);
            INDArray back = path.backprop(rows, batch, Map.of(), LayerWorkspaceMgr.noWorkspaces());
            c.assertLoss(batch.sums());
            c.assertGradient(LabelLayout.fromRows(back, logits, 1));
            for (int b = 0; b < logits.size(0); b++) {
                for (int t = 0; t < logits.size(2); t++) {
                    if (c.mask().getDouble(b, t) > 0) {
                        double weight = batch.tokenWeight(t * (int) logits.size(0) + b);
                        assertEquals(c.values.get("w").get(b).get(t).asDouble(), weight, c.tolerance());
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @MethodSource("cases")
    void SameDiff_loss_matches_PyTorch(Case c) {
        INDArray logits = c.logits().permute(0, 2, 1).dup('c');
        INDArray teacher = c.teacher().permute(0, 2, 1).dup('c');
        INDArray labels = c.ids
                ? matrix(c.set.get("labels"), DataType.INT32)
                : c.target().permute(0, 2, 1).dup('c');
        SameDiff sd = model(logits, labels, c.configuration());
        List<String> wanted =
                LossDescription.RESULTS.stream().filter(sd::hasVariable).toList();
        OutAndGrad result = sd.calculateGradientsAndOutputs(
                Map.of("labels", labels, "weights", c.mask(), RetentionLoss.TEACHER_LOGITS, teacher),
                wanted,
                List.of("logits"));

        double examples = logits.size(0);
        Map<String, INDArray> values = result.getOutputs();
        double crossEntropy = values.get(LossDescription.CROSS_ENTROPY_SUM).getDouble(0);
        TokenLoss loss = new TokenLoss(
                crossEntropy,
                values.get(LossDescription.DIVERGENCE_SUM).getDouble(0),
                c.configuration().getCoefficient(),
                values.get(LossDescription.TOKENS).getDouble(0),
                values.get(LossDescription.DIVERGENCE_TOKENS).getDouble(0),
                Double.NaN,
                values.containsKey(LossDescription.OBJECTIVE_SUM)
                        ? values.get(LossDescription.OBJECTIVE_SUM).getDouble(0)
                        : crossEntropy);
        c.assertLoss(loss);
        assertRelative(loss.sum() / examples, values.get(RetentionLoss.LOSS).getDouble(0), c.tolerance());
        c.assertGradient(result.getGradients().get("logits").permute(0, 2, 1).mul(examples));
    }

    /** All paths of a layer without parameters. */
    static List<LossPath> paths(RetentionConfiguration conf, DataType type, int vocabulary) {
        LossPath sameDiff = new SameDiffLossPath(conf, type, Map.of(), vocabulary, 1);
        return type == DataType.FLOAT
                ? List.of(sameDiff, new FusedLoss(conf, Map.of(), vocabulary, 1))
                : List.of(sameDiff);
    }

    /** The loss of logits {@code [batch, time, V]} that are a variable, with weights of tokens. */
    static SameDiff model(INDArray logits, INDArray labels, RetentionConfiguration conf) {
        SameDiff sd = SameDiff.create();
        sd.var("logits", logits);
        long[] shape = labels.rank() == 2 ? new long[] {-1, -1} : new long[] {-1, -1, logits.size(2)};
        sd.placeHolder("labels", labels.dataType(), shape);
        sd.placeHolder("weights", logits.dataType(), -1, -1);
        RetentionLoss.add(sd, "logits", "labels", "weights", null, conf);
        SameDiffMessages.createGradFunctionQuietly(sd);
        return sd;
    }
}
