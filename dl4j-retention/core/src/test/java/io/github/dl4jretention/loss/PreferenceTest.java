package io.github.dl4jretention.loss;

import static io.github.dl4jretention.Networks.assertClose;
import static io.github.dl4jretention.Networks.assertGradientOfScore;
import static io.github.dl4jretention.Networks.assertMoved;
import static io.github.dl4jretention.Networks.gradient;
import static io.github.dl4jretention.Networks.lastLoss;
import static io.github.dl4jretention.loss.ReferenceTest.assertRelative;
import static io.github.dl4jretention.loss.ReferenceTest.classesInTheMiddle;
import static io.github.dl4jretention.loss.ReferenceTest.distributions;
import static io.github.dl4jretention.loss.ReferenceTest.matrix;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.cache.CacheCodec;
import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.teacher.DivergenceMask;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.api.OutAndGrad;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.ArrayNode;

/** Losses of pairs and their gradients, by PyTorch in double precision, and what else they promise. */
class PreferenceTest {

    @TempDir
    private Path folder;

    /** [chosen|rejected][pair]... as the minibatch has it: a chosen one and its rejected one in turn. */
    private static JsonNode inTurn(JsonNode node) {
        ArrayNode result = new ObjectMapper().createArrayNode();
        for (int pair = 0; pair < node.get(0).size(); pair++) {
            result.add(node.get(0).get(pair)).add(node.get(1).get(pair));
        }
        return result;
    }

    private record Case(JsonNode set, JsonNode values, DataType type, boolean ids) {

        Preference preference() {
            double beta = values.get("beta").asDouble();
            return switch (values.get("loss").asText()) {
                case "dpo" -> Preference.dpo(beta, values.get("label_smoothing").asDouble());
                case "simpo" -> Preference.simpo(beta, values.get("gamma").asDouble());
                case "ipo" -> Preference.ipo(beta);
                default -> throw new IllegalArgumentException(values.toString());
            };
        }

        RetentionConfiguration configuration() {
            return RetentionConfiguration.builder()
                    .coefficient(0)
                    .preference(preference())
                    .build();
        }

        INDArray logits() {
            return classesInTheMiddle(inTurn(set.get("student_logits")), type);
        }

        INDArray teacher() {
            return classesInTheMiddle(inTurn(set.get("reference_logits")), type);
        }

        INDArray mask() {
            return matrix(inTurn(set.get("answer_mask")), type);
        }

        INDArray target() {
            INDArray ids = matrix(inTurn(set.get("labels")), type);
            ids = ids.reshape(ids.size(0), 1, ids.size(1));
            return ids() ? ids : distributions(ids, (int) logits().size(1));
        }

        double tolerance() {
            return type == DataType.DOUBLE ? 1e-6 : 1e-4;
        }

        void assertLoss(double score) {
            assertRelative(values.get("value").asDouble(), score, tolerance());
        }

        void assertGradient(INDArray ofSums) {
            assertClose(classesInTheMiddle(inTurn(values.get("grad")), type), ofSums.div(ofSums.size(0)), tolerance());
        }

        @Override
        public String toString() {
            return set.get("name").asText() + " " + preference() + " " + type + (ids ? " ids" : " distributions");
        }
    }

    static Stream<Case> cases() throws IOException {
        List<Case> cases = new ArrayList<>();
        for (JsonNode set : ObjectivesReferenceTest.reference().get("preference")) {
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
        assertEquals(18 * 2 * 2, cases().count());
    }

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
        INDArray back = layer.backpropGradient(null, noWorkspaces).getSecond().dup();
        c.assertLoss(layer.computeScore(0, true, noWorkspaces));
        c.assertGradient(back);
        layer.setMaskArray(c.mask().dup());
        c.assertLoss(layer.computeScore(0, false, noWorkspaces));
        double[] perExample = layer.computeScoreForExamples(0, noWorkspaces)
                .reshape(logits.size(0))
                .toDoubleVector();
        for (int pair = 0; pair < 3; pair++) {
            double expected = c.values.get("per_pair").get(pair).asDouble();
            assertRelative(expected, perExample[2 * pair], c.tolerance());
            assertRelative(expected, perExample[2 * pair + 1], c.tolerance());
        }
        assertEquals(c.mask().sumNumber().doubleValue(), layer.lastTokenLoss().tokens());
    }

    @ParameterizedTest
    @MethodSource("cases")
    void every_path_of_a_layer_matches_PyTorch(Case c) {
        RetentionConfiguration conf = c.configuration();
        INDArray logits = c.logits();
        int vocabulary = (int) logits.size(1);
        INDArray rows = LabelLayout.rows(logits, 1);
        for (LossPath path : ObjectivesReferenceTest.paths(conf, c.type, vocabulary)) {
            TokenBatch batch =
                    new TokenBatch(logits, PackedLabels.of(c.target(), c.teacher()), c.mask(), vocabulary, 1, 0, false);
            path.forward(rows, batch);
            new Objective(conf).weighByPairs(batch);
            INDArray back = path.backprop(rows, batch, Map.of(), LayerWorkspaceMgr.noWorkspaces());
            c.assertLoss(batch.sums().sum() / logits.size(0));
            c.assertGradient(LabelLayout.fromRows(back, logits, 1));
        }
    }

    @ParameterizedTest
    @MethodSource("cases")
    void SameDiff_loss_matches_PyTorch(Case c) {
        INDArray logits = c.logits().permute(0, 2, 1).dup('c');
        INDArray labels = c.ids
                ? matrix(inTurn(c.set.get("labels")), DataType.INT32)
                : c.target().permute(0, 2, 1).dup('c');
        SameDiff sd = ObjectivesReferenceTest.model(logits, labels, c.configuration());
        OutAndGrad result = sd.calculateGradientsAndOutputs(
                Map.of(
                        "labels",
                        labels,
                        "weights",
                        c.mask(),
                        RetentionLoss.TEACHER_LOGITS,
                        c.teacher().permute(0, 2, 1).dup('c')),
                List.of(RetentionLoss.LOSS),
                List.of("logits"));
        c.assertLoss(result.getOutputs().get(RetentionLoss.LOSS).getDouble(0));
        c.assertGradient(result.getGradients().get("logits").permute(0, 2, 1).mul(logits.size(0)));
    }

    /** Two pairs: a prompt of two tokens, answers of different lengths, padding. */
    private static DataSet pairs(DataType type) {
        DataSet data = Networks.sequences(type, 4, 7);
        data.setLabelsMaskArray(Nd4j.createFromArray(
                        new double[][] {{0, 0, 1, 1, 0}, {0, 0, 1, 1, 1}, {0, 0, 1, 0, 0}, {0, 0, 1, 1, 1}})
                .castTo(type));
        data.setFeaturesMaskArray(Nd4j.createFromArray(
                        new double[][] {{1, 1, 1, 1, 0}, {1, 1, 1, 1, 1}, {1, 1, 1, 0, 0}, {1, 1, 1, 1, 1}})
                .castTo(type));
        return data;
    }

    private static DataSet taught(DataSet data, Teacher teacher) {
        return new TeacherIterator(new ExistingDataSetIterator(List.of(data)), teacher, DivergenceMask.PROMPTS).next();
    }

    private static RetentionConfiguration conf(Preference preference, double coefficient) {
        return RetentionConfiguration.builder()
                .coefficient(coefficient)
                .preference(preference)
                .build();
    }

    @ParameterizedTest
    @CsvSource({"DPO,0.5,0.1", "IPO,0.3,0", "SIMPO,2,0.5"})
    void the_gradient_with_retention_on_prompts_is_that_of_the_score(Preference.Kind kind, double beta, double other) {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.DOUBLE, 1);
        Teacher teacher = Teacher.of(pretrained);
        MultiLayerNetwork student = Retention.attach(
                Networks.moved(pretrained, 0.4, 2), conf(new Preference(kind, beta, other), 0.7), teacher);
        DataSet data = taught(pairs(DataType.DOUBLE), teacher);
        INDArray gradient = gradient(student, data);
        assertEquals(8, lastLoss(student).divergenceTokens());
        assertEquals(9, lastLoss(student).tokens());
        assertTrue(lastLoss(student).divergence() > 1e-3);
        assertGradientOfScore(gradient, student, data);
    }

    @ParameterizedTest
    @ValueSource(strings = {"FLOAT", "DOUBLE"})
    void a_student_learns_to_prefer_and_retention_on_prompts_keeps_it_near(DataType type) {
        MultiLayerNetwork pretrained = Networks.lstm(type, 1);
        Teacher teacher = Teacher.of(pretrained);
        DataSet data = pairs(type);
        double[] divergence = new double[2];
        for (int retained = 0; retained < 2; retained++) {
            MultiLayerNetwork student = Retention.attach(pretrained, conf(Preference.dpo(0.5), 20.0 * retained));
            student.score(taught(data, teacher));
            // At the start the student is its teacher: half of the pairs' probability lies on either side.
            assertEquals(4 * Math.log(2), lastLoss(student).objectiveSum(), 1e-5);
            for (int step = 0; step < 60; step++) {
                student.fit(taught(data, teacher));
            }
            assertTrue(
                    lastLoss(student).objectiveSum() < 0.8 * 4 * Math.log(2),
                    lastLoss(student).toString());
            divergence[retained] = lastLoss(student).divergence();
        }
        assertTrue(divergence[1] < 0.5 * divergence[0], divergence[0] + " " + divergence[1]);
    }

    @Test
    void a_cache_of_whole_distributions_serves_and_others_are_refused() throws IOException {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.FLOAT, 1);
        DataSet data = pairs(DataType.FLOAT);
        for (CacheCodec codec : List.of(CacheCodec.sample(16), CacheCodec.topK(3), CacheCodec.half())) {
            TeacherCache cache = TeacherCache.builder()
                    .teacher(Teacher.of(pretrained))
                    .codec(codec)
                    .folder(folder)
                    .build(new ExistingDataSetIterator(List.of(data)));
            MultiLayerNetwork student = Retention.attach(pretrained, conf(Preference.dpo(0.5), 0));
            if (codec.description().equals("half")) {
                INDArray cached = gradient(student, taught(data, cache));
                assertClose(gradient(student, taught(data, Teacher.of(pretrained))), cached, 1e-2);
            } else {
                String message = assertThrows(IllegalArgumentException.class, () -> student.fit(taught(data, cache)))
                        .getMessage();
                assertTrue(message.startsWith("preference: expected a teacher") && message.contains("half"), message);
            }
            Retention.attach(pretrained, conf(Preference.simpo(2, 0.5), 0)).fit(taught(data, cache));
        }
    }

    /** Text for early stopping, say, which is no pairs. */
    @Test
    void a_score_of_plain_text_is_the_cross_entropy() {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.DOUBLE, 1);
        DataSet odd = Networks.sequences(DataType.DOUBLE, 3, 7);
        DataSet masked = Networks.sequences(DataType.DOUBLE, 4, 8);
        masked.setLabelsMaskArray(Nd4j.ones(DataType.DOUBLE, 4, Networks.TIME));
        masked.getLabelsMaskArray().getRow(3).assign(0);
        for (Preference preference : List.of(Preference.dpo(0.1), Preference.ipo(0.3))) {
            MultiLayerNetwork student = Retention.attach(pretrained, conf(preference, 0));
            for (DataSet text : List.of(odd, masked)) {
                assertEquals(pretrained.score(text), student.score(text), 1e-9);
                assertClose(
                        pretrained.scoreExamples(text, false).reshape(-1),
                        student.scoreExamples(text, false).reshape(-1),
                        1e-9);
                String message = assertThrows(
                                IllegalArgumentException.class,
                                () -> student.score(taught(text, Teacher.of(pretrained))))
                        .getMessage();
                assertTrue(message.startsWith("labels"), message);
            }
        }
    }

    /** On every path: the teacher gives the label of one answer, or of both of a pair, no probability at all. */
    @ParameterizedTest
    @ValueSource(strings = {"FLOAT", "DOUBLE"})
    void a_label_that_is_impossible_for_the_teacher_leaves_the_loss_finite(DataType type) {
        DataSet data = pairs(type);
        INDArray logits = Networks.normal(type, new Random(3), 4, Networks.VOCABULARY, Networks.TIME);
        INDArray teacher = Networks.normal(type, new Random(4), 4, Networks.VOCABULARY, Networks.TIME);
        for (int sequence : new int[] {1, 2, 3}) {
            int label = Nd4j.argMax(data.getLabels(), 1).getInt(sequence, 2);
            teacher.putScalar(new int[] {sequence, label, 2}, Double.NEGATIVE_INFINITY);
        }
        for (Preference preference : List.of(Preference.dpo(0.5), Preference.ipo(0.3))) {
            RetentionConfiguration conf = conf(preference, 0);
            RetentionOutputLayerRuntime layer = ReferenceTest.identityLayer(Networks.VOCABULARY, conf, type);
            LayerWorkspaceMgr noWorkspaces = LayerWorkspaceMgr.noWorkspaces();
            layer.setInput(logits, noWorkspaces);
            layer.setLabels(PackedLabels.of(data.getLabels(), teacher));
            layer.setMaskArray(data.getLabelsMaskArray());
            INDArray back =
                    layer.backpropGradient(null, noWorkspaces).getSecond().dup();
            double score = layer.computeScore(0, true, noWorkspaces);
            assertTrue(Double.isFinite(score), preference + " " + score);
            assertTrue(Double.isFinite(back.norm1Number().doubleValue()), preference + " " + back);
            SameDiff sd = SameDiff.create();
            sd.var("logits", logits.permute(0, 2, 1).dup('c'));
            sd.placeHolder("labels", type, -1, -1, Networks.VOCABULARY);
            sd.placeHolder("weights", type, -1, -1);
            RetentionLoss.add(sd, "logits", "labels", "weights", null, conf);
            double expected = sd.output(
                            Map.of(
                                    "labels",
                                    data.getLabels().permute(0, 2, 1).dup('c'),
                                    "weights",
                                    data.getLabelsMaskArray(),
                                    RetentionLoss.TEACHER_LOGITS,
                                    teacher.permute(0, 2, 1).dup('c')),
                            RetentionLoss.LOSS)
                    .get(RetentionLoss.LOSS)
                    .getDouble(0);
            assertRelative(expected, score, type == DataType.DOUBLE ? 1e-6 : 1e-4);
        }
    }

    private static void assertRefused(DataSet data, String message) {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.FLOAT, 1);
        MultiLayerNetwork student = Retention.attach(pretrained, conf(Preference.dpo(0.1), 1));
        INDArray before = student.params().dup();
        String found = assertThrows(
                        IllegalArgumentException.class, () -> student.fit(taught(data, Teacher.of(pretrained))))
                .getMessage();
        assertTrue(found.startsWith(message), found);
        assertEquals(before, student.params());
    }

    private static DataSet changed(Consumer<DataSet> change) {
        DataSet data = pairs(DataType.FLOAT);
        change.accept(data);
        return data;
    }

    @Test
    void what_is_no_pair_is_refused_before_training() {
        assertRefused(
                changed(data -> data.getLabelsMaskArray().getRow(3).assign(0)),
                "labels mask: expected an answer in both sequences of a pair, got none in the rejected one of pair 1");
        assertRefused(
                changed(data -> {
                    data.getLabels().slice(1).assign(data.getLabels().slice(0));
                    data.getLabelsMaskArray()
                            .getRow(1)
                            .assign(data.getLabelsMaskArray().getRow(0));
                }),
                "labels: expected a rejected answer other than the chosen one, got the same for pair 0");
        assertRefused(
                Networks.sequences(DataType.FLOAT, 3, 7),
                "labels: expected pairs of sequences, a chosen one and its rejected one in turn, got a minibatch of 3");
        MultiLayerNetwork student = Retention.attach(Networks.lstm(DataType.FLOAT, 1), conf(Preference.dpo(0.1), 0));
        String message = assertThrows(IllegalArgumentException.class, () -> student.fit(pairs(DataType.FLOAT)))
                .getMessage();
        assertTrue(message.startsWith("preference: expected labels that carry a teacher, for dpo(0.1)"), message);
        MultiLayerNetwork alone = Retention.attach(Networks.lstm(DataType.FLOAT, 1), conf(Preference.simpo(2, 0.5), 0));
        INDArray before = alone.params().dup();
        alone.fit(pairs(DataType.FLOAT));
        assertMoved(before, alone.params(), 1e-4);
    }

    /** Through SameDiff.fit, whose listener knows the batch before it trains. */
    @Test
    void a_SameDiff_student_learns_to_prefer_and_refuses_what_is_no_pair() {
        Teacher teacher = Teacher.of(RetentionLossTest.model(1), "logits", "features");
        SameDiff student = RetentionLossTest.model(1);
        RetentionLoss.add(student, "logits", "labels", conf(Preference.dpo(0.5), 0.1));
        student.setTrainingConfig(RetentionLossTest.training("labels", RetentionLoss.TEACHER_LOGITS));
        RetentionListener listener = new RetentionListener();
        student.setListeners(listener);
        MultiDataSet batch = RetentionLossTest.batch(2, DataType.FLOAT, 4, Networks.TIME);
        double first = RetentionLossTest.fit(student, teacher, batch, 1)
                .lossCurve()
                .meanLoss(0)
                .totalLoss();
        assertEquals(Math.log(2), first, 1e-5);
        RetentionLossTest.fit(student, teacher, batch, 20);
        assertTrue(listener.lastTokenLoss().objectiveSum() < 4 * Math.log(2));
        MultiDataSet same = RetentionLossTest.batch(2, DataType.FLOAT, 4, Networks.TIME);
        same.getLabels(0).getRow(3).assign(same.getLabels(0).getRow(2));
        INDArray before = student.getVariable("w").getArr().dup();
        for (MultiDataSet bad : List.of(same, RetentionLossTest.batch(2))) {
            String message = assertThrows(
                            IllegalArgumentException.class, () -> RetentionLossTest.fit(student, teacher, bad, 1))
                    .getMessage();
            assertTrue(message.startsWith("labels: expected"), message);
            assertEquals(before, student.getVariable("w").getArr());
        }
    }

    @Test
    void numbers_and_combinations_are_checked_and_survive_JSON() throws IOException {
        ObjectMapper mapper = NeuralNetConfiguration.mapper();
        for (Preference preference :
                List.of(Preference.dpo(0.1), Preference.dpo(0.1, 0.2), Preference.ipo(0.3), Preference.simpo(2, 1))) {
            RetentionConfiguration conf = conf(preference, 0.5);
            RetentionConfiguration read =
                    mapper.readValue(mapper.writeValueAsString(conf), RetentionConfiguration.class);
            assertEquals(conf, read);
            assertEquals(conf.hashCode(), read.hashCode());
            assertEquals(preference, read.getPreference());
            assertTrue(conf.toString().contains("preference=" + preference), conf.toString());
        }
        for (var call : List.<org.junit.jupiter.api.function.Executable>of(
                () -> Preference.dpo(0),
                () -> Preference.dpo(Double.NaN),
                () -> Preference.dpo(1, 0.5),
                () -> Preference.ipo(-1),
                () -> Preference.simpo(1, -1),
                () -> Preference.simpo(Double.POSITIVE_INFINITY, 1),
                () -> RetentionConfiguration.builder()
                        .preference(Preference.dpo(1))
                        .tokenWeight(TokenWeight.dft())
                        .build(),
                () -> RetentionConfiguration.builder()
                        .preference(Preference.dpo(1))
                        .labelSmoothing(0.1)
                        .build())) {
            String message = assertThrows(IllegalArgumentException.class, call).getMessage();
            assertTrue(message.contains(": expected") && message.contains(", got "), message);
        }
    }
}
