package io.github.dl4jretention.cache;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.eval.RetentionEvaluation;
import io.github.dl4jretention.eval.TokenEvaluation;
import io.github.dl4jretention.loss.AdaptiveCoefficient;
import io.github.dl4jretention.loss.Divergence;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionListener;
import io.github.dl4jretention.loss.RetentionLoss;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import io.github.dl4jretention.teacher.TeacherMultiDataSetIterator;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.TrainingConfig;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.dataset.adapter.SingletonMultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import org.nd4j.linalg.ops.transforms.Transforms;

class TeacherCacheTest {

    private static final RetentionConfiguration CONF =
            RetentionConfiguration.builder().build();

    @TempDir
    private Path folder;

    private TeacherCache.Builder builder(Teacher teacher, String codec) {
        return TeacherCache.builder().teacher(teacher).folder(folder).codec(CacheCodec.of(codec));
    }

    private TeacherCache cache(Teacher teacher, String codec, DataSet data) throws IOException {
        return builder(teacher, codec).build(CachedData.batches(data, 4, 1));
    }

    @ParameterizedTest
    @EnumSource(
            value = DataType.class,
            names = {"FLOAT", "DOUBLE"})
    void values_are_the_teachers_within_the_codecs_bound(DataType type) throws IOException {
        Teacher teacher = Teacher.of(CachedData.network(type, 1));
        DataSet data = CachedData.sequences(type, 7, 2);
        TeacherCache cache = cache(teacher, "half", data);
        INDArray expected = teacher.logProbabilities(data.getFeatures(), null);
        INDArray read = cache.logProbabilities(data.getFeatures(), null);
        assertEquals(type, read.dataType());
        assertClose(expected, read, Math.scalb(expected.amaxNumber().doubleValue(), -11));
        assertEquals(teacher.sha256(), cache.sha256());
        assertEquals(teacher.outputs(), cache.outputs());
        // The classes of a token lie side by side.
        assertArrayEquals(new long[] {100, 1, 700}, read.stride());
        assertEquals(7, cache.statistics().sequences());
        assertEquals(35, cache.statistics().tokens());
    }

    @Test
    void rows_and_sequences_in_nwc_layout() throws IOException {
        MultiLayerNetwork dense = Networks.dense(DataType.FLOAT, 3, true);
        DataSet rows = Networks.rows(DataType.FLOAT, 5, 4);
        assertSame(Teacher.of(dense), rows);
        MultiLayerNetwork nwc = Networks.stacked(
                DataType.FLOAT,
                5,
                new LSTM.Builder()
                        .nIn(Networks.INPUTS)
                        .nOut(5)
                        .dataFormat(RNNFormat.NWC)
                        .build(),
                new RnnOutputLayer.Builder(LossFunction.MCXENT)
                        .nIn(5)
                        .nOut(Networks.VOCABULARY)
                        .activation(Activation.SOFTMAX)
                        .dataFormat(RNNFormat.NWC)
                        .build());
        DataSet sequences = Networks.sequences(DataType.FLOAT, 3, 6);
        assertSame(
                Teacher.of(nwc),
                new DataSet(
                        sequences.getFeatures().permute(0, 2, 1),
                        sequences.getLabels().permute(0, 2, 1)));
    }

    private void assertSame(Teacher teacher, DataSet data) throws IOException {
        TeacherCache cache = builder(teacher, "half").build(new ExistingDataSetIterator(List.of(data)));
        assertClose(
                teacher.logProbabilities(data.getFeatures(), null),
                cache.logProbabilities(data.getFeatures(), null),
                1e-3);
    }

    @ParameterizedTest
    @ValueSource(strings = {"half", "topK:8", "sample:30"})
    void order_and_minibatches_change_nothing(String codec) throws IOException {
        DataSet data = CachedData.sequences(DataType.FLOAT, 20, 3);
        CountingTeacher teacher = new CountingTeacher(Teacher.of(CachedData.network(DataType.FLOAT, 4)));
        TeacherCache cache = cache(teacher, codec, data);
        INDArray whole = cache.logProbabilities(data.getFeatures(), null);
        int[] order = {17, 3, 3, 0, 9};
        assertClose(
                CachedData.rows(whole, order),
                cache.logProbabilities(CachedData.rows(data.getFeatures(), order), null),
                0);
        TeacherCache again = builder(teacher, codec).build(CachedData.batches(data, 7, 2));
        assertClose(whole, again.logProbabilities(data.getFeatures(), null), 0);
        assertEquals(20, teacher.examples());
    }

    @Test
    void a_complete_cache_is_opened_without_data_and_without_its_teacher() throws IOException {
        MultiLayerNetwork network = CachedData.network(DataType.FLOAT, 5);
        DataSet data = CachedData.sequences(DataType.FLOAT, 3, 6);
        TeacherCache first =
                TeacherCache.builder().pretrained(network).folder(folder).build(CachedData.batches(data, 2, 1));
        assertTrue(first.statistics().tokensPerSecond() > 0);
        TeacherCache second =
                TeacherCache.builder().pretrained(network).folder(folder).build(new ExistingDataSetIterator(List.of()));
        assertClose(
                first.logProbabilities(data.getFeatures(), null), second.logProbabilities(data.getFeatures(), null), 0);
        assertEquals(Teacher.of(network).sha256(), second.sha256());
        assertEquals(0, second.statistics().computed());
        MultiLayerNetwork student = Retention.attach(network, CONF);
        student.fit(new TeacherIterator(CachedData.batches(data, 2, 1), second), 2);
        assertTrue(Networks.lastLoss(student).divergence() > 0);
        assertThrows(IllegalArgumentException.class, () -> TeacherCache.builder()
                .pretrained(network)
                .folder(folder)
                .data("none")
                .build(new ExistingDataSetIterator(List.of())));
    }

    @Test
    void changed_data_is_noticed_or_computed() throws IOException {
        DataSet data = CachedData.sequences(DataType.FLOAT, 6, 7);
        CountingTeacher teacher = new CountingTeacher(Teacher.of(CachedData.network(DataType.FLOAT, 8)));
        TeacherCache cache = cache(teacher, "sample:30", data);
        INDArray changed = data.getFeatures().dup();
        changed.putScalar(new int[] {2, 1, 4}, Math.nextUp(changed.getFloat(2, 1, 4)));
        String message = assertThrows(IllegalStateException.class, () -> cache.logProbabilities(changed, null))
                .getMessage();
        assertTrue(message.contains("example 2") && message.contains("[6, 4, 5]"), message);

        TeacherCache computing = builder(teacher, "sample:30").computeMissing().build(CachedData.batches(data, 4, 1));
        assertEquals(6, teacher.examples());
        INDArray computed = computing.logProbabilities(changed, null);
        assertEquals(12, teacher.examples());
        TeacherCache other = builder(teacher, "sample:30")
                .data("changed")
                .build(CachedData.batches(new DataSet(changed, data.getLabels()), 4, 1));
        assertClose(other.logProbabilities(changed, null), computed, 0);
        INDArray before = cache.logProbabilities(data.getFeatures(), null);
        assertClose(CachedData.rows(before, 0, 1, 3), CachedData.rows(computed, 0, 1, 3), 0);
    }

    @Test
    void a_pretrained_network_that_was_trained_in_between_is_refused() throws IOException {
        MultiLayerNetwork network = CachedData.network(DataType.FLOAT, 7);
        DataSet data = CachedData.sequences(DataType.FLOAT, 3, 8);
        TeacherCache.Builder builder =
                TeacherCache.builder().pretrained(network).folder(folder).computeMissing();
        INDArray start = network.params().dup();
        network.params().muli(2);
        String trained = Teacher.of(network).sha256();
        IllegalStateException refused = assertThrows(
                IllegalStateException.class, () -> builder.build(new ExistingDataSetIterator(List.of(data))));
        assertTrue(refused.getMessage().startsWith("pretrained: expected "), refused.getMessage());
        assertTrue(refused.getMessage().contains(trained), refused.getMessage());
        network.params().assign(start);
        builder.build(new ExistingDataSetIterator(List.of(data)));
        TeacherCache complete = TeacherCache.builder()
                .pretrained(network)
                .folder(folder)
                .computeMissing()
                .build(new ExistingDataSetIterator(List.of(data)));
        assertEquals(0, complete.statistics().computed());
        network.params().muli(2);
        INDArray other = CachedData.sequences(DataType.FLOAT, 3, 9).getFeatures();
        assertThrows(IllegalStateException.class, () -> complete.logProbabilities(other, null));
    }

    @Test
    void sequences_of_several_lengths_lose_their_padding() throws IOException {
        MultiLayerNetwork network = CachedData.network(DataType.FLOAT, 9);
        Teacher teacher = Teacher.of(network);
        INDArray mask = Nd4j.createFromArray(
                new float[][] {{1, 1, 1, 1, 1}, {1, 1, 1, 0, 0}, {1, 0, 1, 1, 0}, {0, 0, 0, 0, 0}});
        DataSet padded = CachedData.sequences(DataType.FLOAT, 4, 10);
        padded.setFeaturesMaskArray(mask);
        padded.setLabelsMaskArray(mask);
        TeacherCache cache = builder(teacher, "half").build(new ExistingDataSetIterator(List.of(padded)));
        assertEquals(5 + 3 + 4, cache.statistics().tokens());
        INDArray expected = teacher.logProbabilities(padded.getFeatures(), mask);
        INDArray read = cache.logProbabilities(padded.getFeatures(), mask);
        for (int example = 0; example < 4; example++) {
            for (int t = 0; t < Networks.TIME; t++) {
                INDArray token = read.get(NDArrayIndex.point(example), NDArrayIndex.all(), NDArrayIndex.point(t));
                if (mask.getDouble(example, t) == 1) {
                    assertClose(
                            expected.get(NDArrayIndex.point(example), NDArrayIndex.all(), NDArrayIndex.point(t)),
                            token,
                            0.01);
                }
            }
        }
        // Alone, without padding.
        INDArray alone =
                padded.getFeatures().get(NDArrayIndex.interval(1, 2), NDArrayIndex.all(), NDArrayIndex.interval(0, 3));
        assertClose(
                read.get(NDArrayIndex.interval(1, 2), NDArrayIndex.all(), NDArrayIndex.interval(0, 3)),
                cache.logProbabilities(alone, null),
                0);

        MultiLayerNetwork student = Retention.attach(network, CONF);
        student.fit(new TeacherIterator(new ExistingDataSetIterator(List.of(padded)), cache), 1);
        assertEquals(0, Networks.lastLoss(student).divergence(), 1e-4);
        assertEquals(11, Networks.lastLoss(student).tokens());
        assertTrue(Double.isFinite(student.score()));
        double divergence = TokenEvaluation.of(network, cache, new ExistingDataSetIterator(List.of(oneHot(padded))))
                .divergence();
        assertEquals(0, divergence, 1e-4);
        padded.setLabelsMaskArray(Nd4j.ones(4, Networks.TIME));
        String message = assertThrows(
                        IllegalArgumentException.class,
                        () -> TokenEvaluation.of(network, cache, new ExistingDataSetIterator(List.of(oneHot(padded)))))
                .getMessage();
        assertTrue(message.startsWith("teacher: expected log-probabilities of every token that counts"), message);
        padded.setLabelsMaskArray(null);
        MultiLayerNetwork moved = Networks.moved(network, 0.3, 4);
        TokenEvaluation live = TokenEvaluation.of(moved, teacher, new ExistingDataSetIterator(List.of(oneHot(padded))));
        TokenEvaluation cached = TokenEvaluation.of(moved, cache, new ExistingDataSetIterator(List.of(oneHot(padded))));
        assertTrue(live.divergence() > 0.01);
        assertEquals(live.divergence(), cached.divergence(), 0.01 * live.divergence());
        assertEquals(live.crossEntropy(), cached.crossEntropy(), 0);
        assertEquals(20, cached.tokens());
        RetentionEvaluation probabilities = new RetentionEvaluation();
        moved.doEvaluation(
                new TeacherIterator(new ExistingDataSetIterator(List.of(oneHot(padded))), cache), probabilities);
        // One of them normalises what the codec rounded.
        assertEquals(probabilities.divergence(), cached.divergence(), 1e-3 * live.divergence());
        assertEquals(probabilities.crossEntropy(), cached.crossEntropy(), 1e-5);
        for (Teacher of : List.of(cache, teacher)) {
            MultiLayerNetwork again = Retention.attach(network, CONF);
            again.fit(new TeacherIterator(new ExistingDataSetIterator(List.of(padded)), of), 1);
            // Nothing is retained of padding, though without a label mask DL4J learns it.
            assertEquals(0, Networks.lastLoss(again).divergence(), 1e-4);
            assertEquals(11, Networks.lastLoss(again).divergenceTokens());
            assertEquals(20, Networks.lastLoss(again).tokens());
            assertTrue(Double.isFinite(again.score()));
        }
    }

    private static DataSet oneHot(DataSet ids) {
        INDArray labels = Nd4j.create(ids.getFeatures().size(0), CachedData.VOCABULARY, Networks.TIME);
        for (int i = 0; i < labels.size(0); i++) {
            for (int t = 0; t < Networks.TIME; t++) {
                labels.putScalar(new int[] {i, ids.getLabels().getInt(i, 0, t), t}, 1);
            }
        }
        return new DataSet(ids.getFeatures(), labels, ids.getFeaturesMaskArray(), ids.getLabelsMaskArray());
    }

    @Test
    void a_graph_of_several_inputs_and_outputs() throws IOException {
        ComputationGraph graph = Networks.graph(DataType.FLOAT, 11);
        MultiDataSet batch = Networks.graphBatch(DataType.FLOAT, 4, 1);
        Teacher teacher = Teacher.of(graph, "text");
        TeacherCache cache = TeacherCache.builder()
                .pretrained(graph, "text")
                .folder(folder)
                .codec(CacheCodec.half())
                .build(new SingletonMultiDataSetIterator(batch));
        assertEquals(teacher.outputs(), cache.outputs());
        INDArray[] features = batch.getFeatures();
        assertClose(teacher.logProbabilities(features, null)[0], cache.logProbabilities(features, null)[0], 0.01);
        ComputationGraph student = Retention.attach(graph, CONF, "text");
        student.fit(new TeacherMultiDataSetIterator(new SingletonMultiDataSetIterator(batch), cache), 2);
        assertTrue(Double.isFinite(student.score()));
        // The inputs exchanged are other data.
        assertThrows(
                IllegalStateException.class,
                () -> cache.logProbabilities(new INDArray[] {features[1], features[0]}, null));
    }

    @Test
    void several_outputs_are_kept_in_one_cache() throws IOException {
        ComputationGraph graph = CachedData.twoTexts(12);
        Teacher teacher = Teacher.of(graph);
        MultiDataSet batch = Networks.graphBatch(DataType.FLOAT, 3, 1);
        TeacherCache cache = builder(teacher, "half").build(new SingletonMultiDataSetIterator(batch));
        assertEquals(2, cache.outputs().size());
        assertEquals(2 * 15, cache.statistics().tokens());
        INDArray[] expected = teacher.logProbabilities(batch.getFeatures(), null);
        INDArray[] read = cache.logProbabilities(batch.getFeatures(), null);
        for (int i = 0; i < 2; i++) {
            assertClose(expected[i], read[i], 0.01);
        }
    }

    private static SameDiff model() {
        Random random = new Random(13);
        SameDiff sd = SameDiff.create();
        SDVariable features = sd.placeHolder("features", DataType.FLOAT, -1, Networks.TIME, Networks.INPUTS);
        SDVariable weights = sd.var("w", Networks.normal(DataType.FLOAT, random, Networks.INPUTS, 100));
        features.reshape(-1, Networks.INPUTS)
                .mmul(weights)
                .reshape(-1, Networks.TIME, 100)
                .rename("logits");
        sd.placeHolder("labels", DataType.INT32, -1, Networks.TIME);
        return sd;
    }

    private static SameDiff student(RetentionConfiguration conf, String teacher) {
        SameDiff student = model();
        RetentionLoss.add(student, "logits", "labels", conf);
        RetentionLoss.bind(student, teacher);
        student.setTrainingConfig(TrainingConfig.builder()
                .updater(new Adam(0.02))
                .dataSetFeatureMapping("features")
                .dataSetLabelMapping("labels", RetentionLoss.TEACHER_LOGITS)
                .build());
        student.setListeners(new RetentionListener());
        return student;
    }

    @ParameterizedTest
    @ValueSource(strings = {"half", "sample:30"})
    void a_SameDiff_graph(String codec) throws IOException {
        Teacher teacher = Teacher.of(model(), "logits", "features");
        MultiDataSet batch = new MultiDataSet(
                Networks.normal(DataType.FLOAT, new Random(14), 3, Networks.TIME, Networks.INPUTS),
                Nd4j.createFromArray(new int[3][Networks.TIME]));
        TeacherCache cache = builder(teacher, codec).build(new SingletonMultiDataSetIterator(batch));
        INDArray read = cache.logProbabilities(batch.getFeatures(0), null);
        if (codec.equals("half")) {
            assertClose(teacher.logProbabilities(batch.getFeatures(0), null), read, 0.01);
        }
        SameDiff student = student(CONF, teacher.sha256());
        TeacherMultiDataSetIterator taught =
                new TeacherMultiDataSetIterator(new SingletonMultiDataSetIterator(batch), cache);
        student.fit(taught, 3);
        assertTrue(Double.isFinite(((RetentionListener) student.getListeners().get(0))
                .lastTokenLoss()
                .sum()));
        if (codec.startsWith("sample")) {
            SameDiff reverse = student(
                    RetentionConfiguration.builder()
                            .divergence(Divergence.REVERSE_KL)
                            .build(),
                    teacher.sha256());
            taught.reset();
            assertThrows(IllegalArgumentException.class, () -> reverse.fit(taught, 1));
        }
    }

    @Test
    void samples_serve_forward_kl_at_their_temperature_alone() throws IOException {
        MultiLayerNetwork network = CachedData.network(DataType.FLOAT, 15);
        DataSet data = CachedData.sequences(DataType.FLOAT, 4, 16);
        TeacherCache cache = cache(Teacher.of(network), "sample:30", data);
        for (RetentionConfiguration conf : List.of(
                RetentionConfiguration.builder()
                        .divergence(Divergence.REVERSE_KL)
                        .build(),
                RetentionConfiguration.builder()
                        .divergence(Divergence.JENSEN_SHANNON)
                        .build(),
                RetentionConfiguration.builder().temperature(2).build(),
                RetentionConfiguration.builder()
                        .coefficient(AdaptiveCoefficient.toward(0.1))
                        .build())) {
            MultiLayerNetwork student = Retention.attach(network, conf);
            INDArray start = student.params().dup();
            TeacherIterator taught = new TeacherIterator(CachedData.batches(data, 4, 1), cache);
            String message = assertThrows(IllegalArgumentException.class, () -> student.fit(taught, 1))
                    .getMessage();
            assertTrue(message.startsWith("teacher: expected whole distributions"), message);
            assertClose(start, student.params(), 0);
        }
        MultiLayerNetwork warm = Retention.attach(
                network, RetentionConfiguration.builder().temperature(2).build());
        TeacherCache warmCache = cache(Teacher.of(network), "sample:30:2", data);
        warm.fit(new TeacherIterator(CachedData.batches(data, 4, 1), warmCache), 1);
        assertTrue(Double.isFinite(warm.score()));

        DataSet taught = new TeacherIterator(CachedData.batches(data, 4, 1), cache).next();
        assertThrows(IllegalArgumentException.class, () -> new RetentionEvaluation()
                .eval(taught.getLabels(), network.output(taught.getFeatures())));
        assertThrows(
                IllegalArgumentException.class,
                () -> TokenEvaluation.of(network, cache, CachedData.batches(data, 4, 1)));
    }

    /** A sample of 36 bytes holds all of 6 classes, exactly. */
    @ParameterizedTest
    @ValueSource(doubles = {0.05, 0.5, 2})
    void a_sample_is_drawn_from_the_distribution_at_its_temperature(double temperature) throws IOException {
        Teacher teacher = Teacher.of(Networks.lstm(DataType.DOUBLE, 17));
        DataSet data = Networks.sequences(DataType.DOUBLE, 3, 18);
        TeacherCache cache = cache(teacher, "sample:36:" + temperature, data);
        assertClose(
                distribution(teacher.logProbabilities(data.getFeatures(), null), temperature),
                distribution(cache.logProbabilities(data.getFeatures(), null), temperature),
                1e-3);
    }

    private static INDArray distribution(INDArray logProbabilities, double temperature) {
        INDArray rows = logProbabilities.div(temperature).permute(0, 2, 1).dup('c');
        return Transforms.softmax(rows.reshape(rows.length() / rows.size(2), rows.size(2)));
    }

    @Test
    void a_samples_gradient_has_the_direction_of_the_whole_distributions() throws IOException {
        MultiLayerNetwork network = CachedData.network(DataType.DOUBLE, 19);
        Teacher teacher = Teacher.of(network);
        DataSet data = CachedData.sequences(DataType.DOUBLE, 400, 20);
        TeacherCache cache = cache(teacher, "sample:24", data);
        MultiLayerNetwork student = Retention.attach(network, CONF);
        student.setParams(Networks.moved(network, 0.3, 21).params());
        INDArray plain = Networks.gradient(student, data);
        INDArray whole = Networks.gradient(student, taught(data, teacher)).subi(plain);
        INDArray sampled = Networks.gradient(student, taught(data, cache)).subi(plain);
        double cosine = whole.mul(sampled).sumNumber().doubleValue()
                / (whole.norm2Number().doubleValue() * sampled.norm2Number().doubleValue());
        assertTrue(cosine > 0.9, "cosine " + cosine);
    }

    @Test
    void both_paths_of_the_loss_take_classes_that_were_not_drawn() throws IOException {
        DataSet data = CachedData.sequences(DataType.FLOAT, 6, 29);
        MultiLayerNetwork network = CachedData.network(DataType.FLOAT, 30);
        TeacherCache cache = cache(Teacher.of(network), "sample:30", data);
        DataSet taught = taught(data, cache);
        MultiLayerNetwork fused = Retention.attach(Networks.moved(network, 0.3, 31), CONF, cache);
        MultiLayerNetwork graph = Retention.attach(CachedData.network(DataType.DOUBLE, 30), CONF, cache);
        graph.setParams(fused.params().castTo(DataType.DOUBLE));
        INDArray expected = Networks.gradient(
                graph,
                new DataSet(
                        taught.getFeatures().castTo(DataType.DOUBLE),
                        taught.getLabels().castTo(DataType.DOUBLE)));
        assertTrue(expected.norm2Number().doubleValue() > 1);
        assertClose(expected, Networks.gradient(fused, taught).castTo(DataType.DOUBLE), 1e-3);
    }

    private static DataSet taught(DataSet data, Teacher teacher) {
        return new TeacherIterator(new ExistingDataSetIterator(List.of(data)), teacher).next();
    }

    @Test
    void teachers_that_change_are_refused_and_a_cache_can_be_corrected() throws IOException {
        MultiLayerNetwork network = CachedData.network(DataType.FLOAT, 22);
        Teacher teacher = Teacher.of(network);
        for (Teacher refused : List.of(
                Teacher.movingAverage(network, 0.9),
                teacher.corrected(0.2),
                Teacher.weighted(List.of(teacher, Teacher.movingAverage(network, 0.9)), 1, 1))) {
            TeacherCache.Builder builder = TeacherCache.builder();
            String message = assertThrows(IllegalArgumentException.class, () -> builder.teacher(refused))
                    .getMessage();
            assertTrue(message.contains(refused.getClass().getSimpleName()), message);
        }
        DataSet data = CachedData.sequences(DataType.FLOAT, 4, 23);
        TeacherCache cache = cache(teacher, "half", data);
        TeacherCache sample = cache(teacher, "sample:30", data);
        TeacherCache warm = cache(teacher, "sample:30:2", data);
        assertClose(
                teacher.corrected(0.2).values(data.toMultiDataSet())[0],
                cache.corrected(0.2).values(data.toMultiDataSet())[0],
                0.01);
        assertEquals(teacher.corrected(0.2).sha256(), cache.corrected(0.2).sha256());
        assertThrows(IllegalArgumentException.class, () -> sample.corrected(0.2));
        assertThrows(
                IllegalArgumentException.class, () -> TeacherCache.builder().teacher(sample));
        for (Teacher lossy : List.of(cache, Teacher.weighted(List.of(cache, teacher), 1, 1))) {
            TeacherCache.Builder builder = TeacherCache.builder();
            String message = assertThrows(IllegalArgumentException.class, () -> builder.teacher(lossy))
                    .getMessage();
            assertTrue(message.contains("expected one that gives its network's own values"), message);
        }
        Teacher mixture = Teacher.weighted(List.of(teacher, sample), 1, 1);
        assertEquals(1, mixture.sampledAt().getAsDouble());
        assertEquals(Teacher.weighted(List.of(teacher, teacher), 1, 1).sha256(), mixture.sha256());
        assertThrows(IllegalArgumentException.class, () -> Teacher.weighted(List.of(teacher, warm), 1, 1));
    }

    @Test
    void teachers_made_of_caches_know_how_their_values_are_kept() throws IOException {
        Teacher teacher = Teacher.of(CachedData.network(DataType.FLOAT, 22));
        DataSet data = CachedData.sequences(DataType.FLOAT, 4, 23);
        TeacherCache half = cache(teacher, "half", data);
        TeacherCache top = cache(teacher, "topK:3", data);
        assertEquals("", teacher.corrected(0.2).encoding());
        assertEquals("", Teacher.weighted(List.of(teacher, teacher), 1, 1).encoding());
        assertEquals(half.encoding(), half.corrected(0.2).encoding());
        Set<String> encodings = new HashSet<>(Set.of(""));
        for (List<Teacher> mixed : List.<List<Teacher>>of(
                List.of(teacher, half), List.of(half, teacher), List.of(top, teacher), List.of(half, top))) {
            assertTrue(encodings.add(Teacher.weighted(mixed, 1, 1).encoding()), mixed.toString());
        }
    }

    @Test
    void whatever_a_cache_follows_from_gives_it_a_folder_of_its_own() throws IOException {
        DataSet data = CachedData.sequences(DataType.FLOAT, 2, 24);
        Teacher teacher = Teacher.of(CachedData.network(DataType.FLOAT, 25));
        Teacher other = Teacher.of(CachedData.network(DataType.FLOAT, 26));
        Set<Path> folders = new HashSet<>();
        List<TeacherCache.Builder> builders = List.of(
                builder(teacher, "half"),
                builder(other, "half"),
                builder(teacher, "topK:3"),
                builder(teacher, "sample:30"),
                builder(teacher, "sample:30:2"),
                builder(teacher, "half").data("other"),
                builder(teacher, "half").tokenisation("other"),
                builder(teacher, "half").seed(1));
        for (TeacherCache.Builder builder : builders) {
            folders.add(builder.build(CachedData.batches(data, 2, 1)).folder());
        }
        assertEquals(builders.size(), folders.size());
        assertNotEquals(
                new CacheKey("0", List.of("a"), "", "", "half", 0).sha256(),
                new CacheKey("0", List.of("b"), "", "", "half", 0).sha256());
    }

    @Test
    void training_near_a_cache_of_halves_is_training_near_the_teacher() throws IOException {
        MultiLayerNetwork network = CachedData.network(DataType.FLOAT, 27);
        DataSet data = CachedData.sequences(DataType.FLOAT, 12, 28);
        Teacher teacher = Teacher.of(network);
        MultiLayerNetwork online = Retention.attach(network, CONF);
        MultiLayerNetwork cached = Retention.attach(network, CONF);
        Retention.finetune(online, teacher, CachedData.batches(data, 4, 1), 5);
        Retention.finetune(cached, cache(teacher, "half", data), CachedData.batches(data, 4, 1), 5);
        assertTrue(online.params().distance2(network.params()) > 0.1);
        assertClose(online.params(), cached.params(), 1e-2);
    }
}
