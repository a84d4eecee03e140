package io.github.dl4jretention.loss;

import static io.github.dl4jretention.Networks.assertClose;
import static io.github.dl4jretention.Networks.assertGradientOfScore;
import static io.github.dl4jretention.Networks.assertMoved;
import static io.github.dl4jretention.Networks.gradient;
import static io.github.dl4jretention.Networks.lastLoss;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.cache.CacheCodec;
import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.teacher.DivergenceMask;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import io.github.dl4jretention.teacher.TeacherMultiDataSetIterator;
import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.autodiff.listeners.records.History;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.dataset.adapter.SingletonMultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.shade.jackson.databind.ObjectMapper;

/** What token weights promise beyond PyTorch's numbers. */
class TokenWeightTest {

    static final List<TokenWeight> WEIGHTS = List.of(
            TokenWeight.eaft(3),
            TokenWeight.dft(),
            TokenWeight.talr(2),
            TokenWeight.selective(6),
            TokenWeight.flow(0.9));

    @TempDir
    private Path folder;

    private static RetentionConfiguration conf(@Nullable TokenWeight weight, double coefficient) {
        return RetentionConfiguration.builder()
                .coefficient(coefficient)
                .tokenWeight(weight)
                .build();
    }

    /** Sequences with a label mask, of which the last is all 0. */
    private static DataSet data(DataType type) {
        DataSet data = Networks.sequences(type, 4, 7);
        data.setLabelsMaskArray(Nd4j.ones(type, 4, Networks.TIME)
                .putScalar(0, 1, 0)
                .putScalar(1, 4, 0.5)
                .putScalar(2, 0, 0));
        data.getLabelsMaskArray().getRow(3).assign(0);
        return data;
    }

    private static DataSet taught(DataSet data, Teacher teacher) {
        return new TeacherIterator(new ExistingDataSetIterator(List.of(data)), teacher, DivergenceMask.ALL_TOKENS)
                .next();
    }

    @Test
    void a_weight_survives_JSON_and_its_description() throws IOException {
        ObjectMapper mapper = NeuralNetConfiguration.mapper();
        for (TokenWeight weight : WEIGHTS) {
            RetentionConfiguration conf = conf(weight, 0.3);
            RetentionConfiguration read =
                    mapper.readValue(mapper.writeValueAsString(conf), RetentionConfiguration.class);
            assertEquals(conf, read);
            assertEquals(conf.hashCode(), read.hashCode());
            assertEquals(weight, read.getTokenWeight());
            assertEquals(weight, TokenWeight.of(weight.toString()));
            assertTrue(conf.toString().contains(weight.toString()), conf.toString());
        }
        assertEquals(5, WEIGHTS.stream().map(w -> conf(w, 0.3)).distinct().count());
        String none = mapper.writeValueAsString(conf(null, 1));
        assertTrue(!none.contains("tokenWeight"), none);
        assertNull(mapper.readValue(none, RetentionConfiguration.class).getTokenWeight());
        assertEquals(TokenWeight.dft(), new TokenWeight(TokenWeight.Kind.DFT, 7));
    }

    @ParameterizedTest
    @CsvSource({
        "EAFT,1,k",
        "EAFT,2.5,k",
        "EAFT,NaN,k",
        "TALR,0,tau",
        "TALR,Infinity,tau",
        "FLOW,-1,tau",
        "FLOW,NaN,tau",
        "SELECTIVE,0.9,threshold",
        "SELECTIVE,Infinity,threshold"
    })
    void numbers_outside_of_their_range_are_refused_by_name(TokenWeight.Kind kind, double parameter, String name) {
        String message = assertThrows(IllegalArgumentException.class, () -> new TokenWeight(kind, parameter))
                .getMessage();
        assertTrue(message.startsWith(name + ": expected") && message.endsWith("" + parameter), message);
        assertThrows(IllegalArgumentException.class, () -> TokenWeight.of("eaft"));
        assertThrows(IllegalArgumentException.class, () -> TokenWeight.of("loss(2)"));
    }

    static Stream<Arguments> students() {
        return Stream.of(DataType.DOUBLE, DataType.FLOAT).flatMap(type -> WEIGHTS.stream()
                .flatMap(weight -> Stream.of(0.0, 0.7).map(lambda -> Arguments.of(type, weight, lambda))));
    }

    /** A label mask that holds the weights does the same: w has no gradient, and the divergence isn't weighted. */
    @ParameterizedTest
    @MethodSource("students")
    void a_weight_is_as_a_label_mask_that_holds_it(DataType type, TokenWeight weight, double lambda) {
        MultiLayerNetwork pretrained = Networks.lstm(type, 1);
        MultiLayerNetwork tuned = Networks.moved(pretrained, 0.4, 2);
        Teacher teacher = Teacher.of(pretrained);
        MultiLayerNetwork student = Retention.attach(tuned, conf(weight, lambda), teacher);
        DataSet data = taught(data(type), teacher);
        INDArray weighted = gradient(student, data);

        INDArray mask = data(type).getLabelsMaskArray().castTo(DataType.DOUBLE);
        INDArray probabilities = tuned.output(data.getFeatures()).castTo(DataType.DOUBLE);
        INDArray anchor = pretrained.output(data.getFeatures()).castTo(DataType.DOUBLE);
        INDArray labels = data(type).getLabels();
        INDArray product = mask.dup();
        for (int b = 0; b < 4; b++) {
            double[] base = new double[Networks.TIME];
            double mean = 0;
            for (int t = 0; t < Networks.TIME; t++) {
                base[t] = Math.log(sum(anchor, labels, b, t));
                mean += mask.getDouble(b, t)
                        * base[t]
                        / Math.max(0.1, mask.getRow(b).sumNumber().doubleValue());
            }
            for (int t = 0; t < Networks.TIME; t++) {
                double own = sum(probabilities, labels, b, t);
                double w =
                        switch (weight.kind()) {
                            case DFT -> own;
                            case TALR -> Math.pow(own, 0.5);
                            case SELECTIVE -> 1 / Math.exp(base[t]) <= 6 ? 1 : 0;
                            case FLOW -> Math.exp(mean / 0.9);
                            case EAFT -> entropyOfThree(probabilities, b, t);
                        };
                product.putScalar(b, t, w * mask.getDouble(b, t));
            }
        }
        DataSet byHand = data.copy();
        byHand.setLabelsMaskArray(product.castTo(type));
        MultiLayerNetwork plain = Retention.attach(tuned, conf(null, lambda), teacher);
        INDArray expected = gradient(plain, byHand);
        assertClose(expected, weighted, type == DataType.DOUBLE ? 1e-9 : 1e-5);
        assertEquals(plain.score(), student.score(), (type == DataType.DOUBLE ? 1e-9 : 1e-5) * plain.score());
        assertMoved(gradient(Retention.attach(tuned, conf(null, lambda), teacher), data), weighted, 1e-4);
        // What is reported is unweighted.
        assertEquals(mask.sumNumber().doubleValue(), lastLoss(student).tokens());
        INDArray logs = Nd4j.math()
                .log(probabilities.mul(labels.castTo(DataType.DOUBLE)).sum(1));
        assertEquals(
                -logs.mul(mask).sumNumber().doubleValue(),
                lastLoss(student).crossEntropySum(),
                type == DataType.DOUBLE ? 1e-9 : 1e-4);
    }

    private static double sum(INDArray probabilities, INDArray labels, int b, int t) {
        double sum = 0;
        for (int v = 0; v < Networks.VOCABULARY; v++) {
            sum += labels.getDouble(b, v, t) * probabilities.getDouble(b, v, t);
        }
        return sum;
    }

    private static double entropyOfThree(INDArray probabilities, int b, int t) {
        double[] largest = Stream.iterate(0, v -> v + 1)
                .limit(Networks.VOCABULARY)
                .mapToDouble(v -> -probabilities.getDouble(b, v, t))
                .sorted()
                .limit(3)
                .map(p -> -p)
                .toArray();
        double total = largest[0] + largest[1] + largest[2];
        double entropy = 0;
        for (double p : largest) {
            entropy -= p / total * Math.log(p / total);
        }
        return entropy / Math.log(3);
    }

    /** The teacher's weights are constants, so the gradient is that of the score. */
    @ParameterizedTest
    @CsvSource({"selective(6),0.7", "flow(0.9),0", "flow(0.9),0.7"})
    void the_gradient_of_a_teachers_weight_is_that_of_the_score(String weight, double lambda) {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.DOUBLE, 1);
        Teacher teacher = Teacher.of(pretrained);
        MultiLayerNetwork student =
                Retention.attach(Networks.moved(pretrained, 0.4, 2), conf(TokenWeight.of(weight), lambda), teacher);
        DataSet data = taught(data(DataType.DOUBLE), teacher);
        INDArray gradient = gradient(student, data).reshape(-1).dup();
        assertGradientOfScore(gradient, student, data);
    }

    /** A copy's labels lie in another order, so they're read through memory that's lent inside of DL4J's workspaces. */
    @ParameterizedTest
    @CsvSource({"FLOAT,selective(6)", "FLOAT,flow(0.9)", "DOUBLE,selective(6)", "DOUBLE,flow(0.9)"})
    void labels_that_were_copied_train_as_those_of_the_iterator(DataType type, String weight) {
        MultiLayerNetwork pretrained = Networks.lstm(type, 1);
        Teacher teacher = Teacher.of(pretrained);
        MultiLayerNetwork[] students = new MultiLayerNetwork[2];
        double[] scores = new double[2];
        for (int copied = 0; copied < 2; copied++) {
            students[copied] =
                    Retention.attach(Networks.moved(pretrained, 0.4, 2), conf(TokenWeight.of(weight), 0.7), teacher);
            for (int step = 0; step < 3; step++) {
                DataSet data = taught(data(type), teacher);
                students[copied].fit(copied == 0 ? data : data.copy());
            }
            DataSet data = taught(data(type), teacher);
            scores[copied] = students[copied].score(copied == 0 ? data : data.copy());
        }
        assertClose(students[0].params(), students[1].params(), 0);
        assertEquals(scores[0], scores[1], 0);
    }

    @ParameterizedTest
    @MethodSource("students")
    void parts_of_a_minibatch_add_up(DataType type, TokenWeight weight, double lambda) {
        MultiLayerNetwork pretrained = Networks.lstm(type, 1);
        Teacher teacher = Teacher.of(pretrained);
        MultiLayerNetwork student = Retention.attach(Networks.moved(pretrained, 0.4, 2), conf(weight, lambda), teacher);
        DataSet data = data(type);
        INDArray whole = gradient(student, taught(data, teacher));
        double sum = lastLoss(student).sum();
        INDArray parts = whole.mul(0);
        double sums = 0;
        for (int from = 0; from < 4; from += 2) {
            DataSet part = new DataSet(
                    rows(data.getFeatures(), from),
                    rows(data.getLabels(), from),
                    null,
                    rows(data.getLabelsMaskArray(), from));
            parts.addi(gradient(student, taught(part, teacher)));
            sums += lastLoss(student).sum();
        }
        double tolerance = type == DataType.DOUBLE ? 1e-10 : 1e-5;
        assertClose(whole, parts, tolerance);
        assertEquals(sum, sums, tolerance * Math.max(1, sum));
    }

    private static INDArray rows(INDArray array, int from) {
        return array.get(NDArrayIndex.interval(from, from + 2)).dup('c');
    }

    @ParameterizedTest
    @MethodSource("students")
    void what_a_mask_leaves_out_may_be_NaN(DataType type, TokenWeight weight, double lambda) {
        INDArray mask = data(type).getLabelsMaskArray();
        INDArray[] gradients = new INDArray[2];
        for (int spoiled = 0; spoiled < 2; spoiled++) {
            INDArray logits = Networks.normal(type, new Random(3), 4, Networks.VOCABULARY, Networks.TIME);
            INDArray teacher = Networks.normal(type, new Random(4), 4, Networks.VOCABULARY, Networks.TIME);
            INDArray labels = data(type).getLabels();
            for (int b = 0; b < 4; b++) {
                for (int t = 0; spoiled == 1 && t < Networks.TIME; t++) {
                    if (mask.getDouble(b, t) == 0) {
                        for (INDArray array : List.of(logits, teacher, labels)) {
                            array.get(NDArrayIndex.point(b), NDArrayIndex.all(), NDArrayIndex.point(t))
                                    .assign(Double.NaN);
                        }
                    }
                }
            }
            RetentionOutputLayerRuntime layer =
                    ReferenceTest.identityLayer(Networks.VOCABULARY, conf(weight, lambda), type);
            var noWorkspaces = LayerWorkspaceMgr.noWorkspaces();
            layer.setInput(logits, noWorkspaces);
            layer.setLabels(PackedLabels.of(labels, teacher));
            layer.setMaskArray(mask);
            gradients[spoiled] =
                    layer.backpropGradient(null, noWorkspaces).getSecond().dup();
            assertTrue(Double.isFinite(layer.computeScore(0, true, noWorkspaces)));
            assertTrue(Double.isFinite(layer.lastTokenLoss().total()));
        }
        assertClose(gradients[0], gradients[1], 0);
    }

    @Test
    void a_graph_is_weighted_as_a_network_is() {
        ComputationGraph pretrained = Networks.graph(DataType.DOUBLE, 1);
        Teacher teacher = Teacher.of(pretrained, "text");
        for (TokenWeight weight : WEIGHTS) {
            ComputationGraph student = Retention.attach(pretrained, conf(weight, 0.7), "text");
            MultiDataSet batch = Networks.graphBatch(DataType.DOUBLE, 3, 3);
            var taught = new TeacherMultiDataSetIterator(new SingletonMultiDataSetIterator(batch), teacher).next();
            INDArray before = student.params().dup();
            student.fit(taught);
            assertMoved(before, student.params(), 1e-4);
            TokenLoss loss = ((RetentionOutputLayerRuntime) student.getOutputLayer(1)).lastTokenLoss();
            INDArray probabilities = pretrained.output(batch.getFeatures())[1];
            double expected = 0;
            for (int b = 0; b < 3; b++) {
                double[] label = new double[Networks.TIME];
                double mean = 0;
                for (int t = 0; t < Networks.TIME; t++) {
                    label[t] = Math.log(sum(probabilities, batch.getLabels(1), b, t));
                    mean += label[t] / Networks.TIME;
                }
                for (int t = 0; t < Networks.TIME; t++) {
                    double w = weight.kind() == TokenWeight.Kind.EAFT
                            ? entropyOfThree(probabilities, b, t)
                            : weight.at(weight.kind() == TokenWeight.Kind.FLOW ? mean : label[t]);
                    expected -= w * label[t];
                }
            }
            assertEquals(expected, loss.objectiveSum(), 1e-9);
        }
    }

    @Test
    void a_weight_that_needs_the_teacher_is_refused_without_one() {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.FLOAT, 1);
        DataSet plain = Networks.sequences(DataType.FLOAT, 2, 3);
        for (TokenWeight weight : WEIGHTS) {
            MultiLayerNetwork student = Retention.attach(pretrained, conf(weight, 0));
            INDArray before = student.params().dup();
            if (weight.needsTeacher()) {
                String message = assertThrows(IllegalArgumentException.class, () -> student.fit(plain))
                        .getMessage();
                assertTrue(message.startsWith("tokenWeight: expected labels that carry a teacher"), message);
                assertTrue(message.contains(weight.toString()) && message.contains("TeacherIterator"), message);
                assertEquals(before, student.params());
                assertEquals(pretrained.score(plain), student.score(plain), 1e-5);
            } else {
                student.fit(plain);
                assertMoved(before, student.params(), 1e-4);
                assertTrue(student.score(plain) < pretrained.score(plain));
            }
        }
    }

    @Test
    void caches_without_the_labels_probability_are_refused_before_training() throws IOException {
        MultiLayerNetwork pretrained = Networks.lstm(DataType.FLOAT, 1);
        SameDiff model = RetentionLossTest.model(1);
        DataSet data = Networks.sequences(DataType.FLOAT, 3, 3);
        MultiDataSet batch = RetentionLossTest.batch(2);
        for (CacheCodec codec : List.of(CacheCodec.sample(16), CacheCodec.topK(3), CacheCodec.half())) {
            TeacherCache cache = TeacherCache.builder()
                    .teacher(Teacher.of(pretrained))
                    .codec(codec)
                    .folder(folder)
                    .build(new ExistingDataSetIterator(List.of(data)));
            TeacherCache ofSameDiff = TeacherCache.builder()
                    .teacher(Teacher.of(model, "logits", "features"))
                    .codec(codec)
                    .folder(folder)
                    .build(new SingletonMultiDataSetIterator(batch));
            for (TokenWeight weight : List.of(TokenWeight.selective(6), TokenWeight.flow(0.9))) {
                MultiLayerNetwork student = Retention.attach(pretrained, conf(weight, 0.5));
                INDArray before = student.params().dup();
                SameDiff sd = RetentionLossTest.model(1);
                RetentionLoss.add(sd, "logits", "labels", conf(weight, 0.5));
                sd.setTrainingConfig(RetentionLossTest.training("labels", RetentionLoss.TEACHER_LOGITS));
                sd.setListeners(new RetentionListener());
                INDArray start = sd.getVariable("w").getArr().dup();
                if (codec.description().equals("half")) {
                    student.fit(taught(data, cache));
                    INDArray cached = gradient(student, taught(data, cache));
                    assertClose(gradient(student, taught(data, Teacher.of(pretrained))), cached, 1e-2);
                    RetentionLossTest.fit(sd, ofSameDiff, batch, 1);
                    assertMoved(start, sd.getVariable("w").getArr(), 1e-4);
                    continue;
                }
                for (String message : List.of(
                        assertThrows(IllegalArgumentException.class, () -> student.fit(taught(data, cache)))
                                .getMessage(),
                        assertThrows(
                                        IllegalArgumentException.class,
                                        () -> RetentionLossTest.fit(sd, ofSameDiff, batch, 1))
                                .getMessage())) {
                    assertTrue(message.startsWith("tokenWeight: expected a teacher"), message);
                    assertTrue(message.contains(weight.toString()) && message.contains("half"), message);
                }
                assertEquals(before, student.params());
                assertEquals(start, sd.getVariable("w").getArr());
            }
            Retention.attach(pretrained, conf(TokenWeight.dft(), 0.5)).fit(taught(data, cache));
        }
    }

    @Test
    void an_entropy_of_more_classes_than_there_are_is_refused() {
        TokenWeight weight = TokenWeight.eaft(Networks.VOCABULARY + 1);
        MultiLayerNetwork student = Retention.attach(Networks.lstm(DataType.FLOAT, 1), conf(weight, 1));
        String message = assertThrows(
                        IllegalArgumentException.class, () -> student.fit(Networks.sequences(DataType.FLOAT, 2, 3)))
                .getMessage();
        assertTrue(message.startsWith("tokenWeight: expected k of at most the vocabulary, 6"), message);
        SameDiff sd = RetentionLossTest.model(1);
        RetentionLoss.add(sd, "logits", "labels", conf(weight, 1));
        sd.setTrainingConfig(RetentionLossTest.training("labels", RetentionLoss.TEACHER_LOGITS));
        sd.setListeners(new RetentionListener());
        Teacher teacher = Teacher.of(RetentionLossTest.model(1), "logits", "features");
        assertThrows(
                IllegalArgumentException.class,
                () -> RetentionLossTest.fit(sd, teacher, RetentionLossTest.batch(2), 1));
    }

    /** Trained through SameDiff.fit, saved and loaded in the middle, and taken apart again. */
    @Test
    void a_SameDiff_student_trains_with_its_weight_after_a_restart_too() {
        Teacher teacher = Teacher.of(RetentionLossTest.model(1), "logits", "features");
        MultiDataSet batch = RetentionLossTest.batch(2);
        for (TokenWeight weight : WEIGHTS) {
            SameDiff student = Retention.attach(RetentionLossTest.model(1), conf(weight, 0.5), "logits", "features");
            student.setTrainingConfig(RetentionLossTest.training("labels", RetentionLoss.TEACHER_LOGITS));
            RetentionListener listener = new RetentionListener();
            student.setListeners(listener);
            History history = RetentionLossTest.fit(student, teacher, batch, 3);
            TokenLoss loss = listener.lastTokenLoss();
            assertEquals(loss.sum() / 3, history.lossCurve().meanLoss(2).totalLoss(), 1e-5);
            assertTrue(loss.objectiveSum() < 0.999 * loss.crossEntropySum(), weight + " " + loss);
            File file = folder.resolve(weight.kind() + ".fb").toFile();
            student.save(file, true);
            SameDiff resumed = SameDiff.load(file, true);
            resumed.setListeners(new RetentionListener());
            RetentionLossTest.fit(student, teacher, batch, 2);
            RetentionLossTest.fit(resumed, teacher, batch, 2);
            assertClose(
                    student.getVariable("w").getArr(), resumed.getVariable("w").getArr(), 1e-6, weight.toString());
            SameDiff plain = Retention.detach(student);
            assertTrue(plain.variableMap().keySet().stream().noneMatch(name -> name.startsWith("retention")));
            SameDiff unweighted = Retention.detach(
                    Retention.attach(RetentionLossTest.model(1), conf(null, 0.5), "logits", "features"));
            assertEquals(unweighted.getOps().keySet(), plain.getOps().keySet());
        }
    }

    @Test
    void a_saved_student_knows_its_weight() throws IOException {
        MultiLayerNetwork student = Retention.attach(Networks.lstm(DataType.FLOAT, 1), conf(TokenWeight.eaft(3), 1));
        student.fit(taught(data(DataType.FLOAT), Teacher.of(Networks.lstm(DataType.FLOAT, 1))));
        File file = folder.resolve("student.zip").toFile();
        student.save(file);
        MultiLayerNetwork loaded = MultiLayerNetwork.load(file, true);
        assertEquals(student.getLayerWiseConfigurations(), loaded.getLayerWiseConfigurations());
        RetentionOutputLayer layer = (RetentionOutputLayer)
                loaded.getLayerWiseConfigurations().getConf(1).getLayer();
        assertEquals(TokenWeight.eaft(3), layer.getRetention().getTokenWeight());
    }
}
