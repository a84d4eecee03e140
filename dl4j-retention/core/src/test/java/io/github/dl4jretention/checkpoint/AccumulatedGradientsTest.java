package io.github.dl4jretention.checkpoint;

import static io.github.dl4jretention.Networks.assertClose;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.internal.HeldBatchNormalization;
import io.github.dl4jretention.internal.RetentionLayers;
import io.github.dl4jretention.listener.RetentionReport;
import io.github.dl4jretention.loss.AdaptiveCoefficient;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import io.github.dl4jretention.teacher.Teacher;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.BackpropType;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.adapter.MultiDataSetIteratorAdapter;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/** Steps of several minibatches beside steps of one large minibatch. */
class AccumulatedGradientsTest {

    private static final int EXAMPLES = 8;

    @TempDir
    private Path folder;

    /** What a run of one step came to. */
    private record Step(
            INDArray parameters, INDArray gradient, double score, RetentionReport report, List<Double> adapted) {}

    /** One step, whose minibatches have so many examples; a coefficient that adapts tells what it saw. */
    private Step step(boolean graph, DataType type, int examples) throws IOException {
        RetentionConfiguration conf = RetentionConfiguration.builder()
                .coefficient(new AdaptiveCoefficient(2, 0.005, 10, 1))
                .build();
        List<Double> scores = new ArrayList<>();
        List<INDArray> gradients = new ArrayList<>();
        List<RetentionReport> reports = new ArrayList<>();
        Path run = folder.resolve(type + "-" + examples);
        FinetuningRun.Builder<?> builder = FinetuningRun.builder();
        Teacher teacher;
        if (graph) {
            teacher = Teacher.of(twoTexts(2));
            builder = builder.student(Retention.attach(twoTexts(1), conf, teacher));
        } else {
            teacher = Teacher.of(Networks.lstm(type, 2));
            builder = builder.student(
                    Retention.attach(Retention.withUpdater(Networks.lstm(type, 1), new Sgd(1)), conf, teacher));
        }
        Object tuned = builder.teacher(teacher)
                .iterator(batches(graph, type, examples))
                .accumulate(EXAMPLES / examples)
                .folder(run)
                .report(1, reports::add)
                .listener(new BaseTrainingListener() {
                    @Override
                    public void onGradientCalculation(Model model) {
                        gradients.add(model.getGradientsViewArray().div(model.batchSize()));
                    }

                    @Override
                    public void iterationDone(Model model, int iteration, int epoch) {
                        scores.add(model.score());
                    }
                })
                .build()
                .run();
        assertEquals(1, scores.size());
        assertEquals(graph ? 2 : 1, reports.size());
        INDArray parameters = ((Model) tuned).params();
        List<Double> adapted = new ArrayList<>();
        heads((Model) tuned).forEach(head -> adapted.add(head.coefficientAt(0, 0)));
        return new Step(parameters, gradients.get(0), scores.get(0), reports.get(0), adapted);
    }

    /** Without dropout, whose random numbers differ. */
    private static ComputationGraph twoTexts(long seed) {
        ComputationGraph graph = Kind.twoTexts(seed);
        graph.getLayer("lstm").conf().getLayer().setIDropout(null);
        return Retention.withUpdater(graph, new Sgd(1));
    }

    private static Collection<RetentionOutputLayer> heads(Model tuned) {
        return tuned instanceof MultiLayerNetwork network
                ? List.of(RetentionLayers.of(network))
                : RetentionLayers.of((ComputationGraph) tuned).values();
    }

    /** Eight sequences, of which all have another number of tokens in their masks, the last none. */
    private static MultiDataSetIterator batches(boolean graph, DataType type, int examples) {
        DataSet all = Networks.sequences(type, EXAMPLES, 3);
        INDArray mask = Nd4j.zeros(type, EXAMPLES, Networks.TIME);
        for (int i = 0; i < EXAMPLES - 1; i++) {
            for (int t = 0; t <= i % Networks.TIME; t++) {
                mask.putScalar(i, t, 1);
            }
        }
        all.setLabelsMaskArray(mask);
        List<DataSet> batches = examples == EXAMPLES ? List.of(all) : all.batchBy(examples);
        MultiDataSetIteratorAdapter iterator = new MultiDataSetIteratorAdapter(new ExistingDataSetIterator(batches));
        if (graph) {
            iterator.setPreProcessor(batch -> {
                batch.setLabels(new INDArray[] {batch.getLabels(0), batch.getLabels(0)});
                batch.setLabelsMaskArray(new INDArray[] {batch.getLabelsMaskArray(0), batch.getLabelsMaskArray(0)});
            });
        }
        return iterator;
    }

    @ParameterizedTest
    @CsvSource({"false, FLOAT, 1", "false, DOUBLE, 1", "false, DOUBLE, 2", "true, FLOAT, 1", "true, FLOAT, 4"})
    void eight_minibatches_of_one_give_the_step_of_one_of_eight(boolean graph, DataType type, int examples)
            throws IOException {
        Step one = step(graph, type, EXAMPLES);
        Step several = step(graph, type, examples);
        double tolerance = type == DataType.DOUBLE ? 1e-12 : 1e-6;
        assertClose(one.gradient, several.gradient, tolerance);
        assertTrue(one.gradient.norm2Number().doubleValue() > 0.01);
        assertClose(one.parameters, several.parameters, tolerance);
        assertEquals(one.score, several.score, 1e-6);
        assertEquals(one.report.crossEntropy(), several.report.crossEntropy(), 1e-6);
        assertEquals(one.report.divergence(), several.report.divergence(), 1e-6);
        assertEquals(one.report.coefficient(), several.report.coefficient(), 0);
        assertEquals(one.report.gradientNorm(), several.report.gradientNorm(), 1e-6);
        assertNotEquals(one.report.coefficient(), one.adapted.get(0));
        for (int i = 0; i < one.adapted.size(); i++) {
            assertEquals(one.adapted.get(i), several.adapted.get(i), 1e-9);
        }
    }

    private static FinetuningRun.Builder<?> threes(Kind kind, Path folder) {
        return kind.builder(folder).every(1).epochs(3).accumulate(3);
    }

    @ParameterizedTest
    @EnumSource(value = Kind.class, names = "SAME_DIFF", mode = EnumSource.Mode.EXCLUDE)
    void a_run_that_accumulates_and_is_stopped_ends_like_one_that_is_not(Kind kind) throws IOException {
        INDArray expected =
                Kind.everything(threes(kind, folder.resolve("whole")).build().run());
        Path part = folder.resolve("part");
        // Of seven minibatches: two steps of three and one of the one that is left.
        for (int at : new int[] {1, 3, 5, 8}) {
            FinetuningRunTest.runUntil(threes(kind, part), at);
            RunState state = Json.read(
                    Kind.entry(FinetuningRunTest.newest(part), RunState.ENTRY),
                    RunState.class,
                    FinetuningRunTest.newest(part));
            assertEquals(at, state.iteration());
            assertEquals(at / 3, state.epoch());
            assertEquals(at % 3 * 3, state.position());
        }
        assertClose(expected, Kind.everything(threes(kind, part).build().run()), 0);
        assertEquals(
                9,
                Provenance.read(FinetuningRunTest.newest(folder.resolve("whole")))
                        .iteration());
    }

    @Test
    void a_run_does_not_go_on_with_other_steps() throws IOException {
        FinetuningRunTest.runUntil(threes(Kind.MULTI_LAYER_NETWORK, folder), 2);
        String message = FinetuningRunTest.refusal(
                IllegalStateException.class,
                threes(Kind.MULTI_LAYER_NETWORK, folder).accumulate(2));
        assertTrue(message.startsWith("accumulate: expected 3 of "), message);
    }

    @Test
    void what_takes_its_own_steps_is_refused() {
        String sameDiff = assertThrows(IllegalArgumentException.class, () -> threes(Kind.SAME_DIFF, folder)
                        .build())
                .getMessage();
        assertTrue(sameDiff.startsWith("accumulate: expected 1 for a SameDiff student"), sameDiff);
        MultiLayerNetwork pretrained = Networks.lstm(DataType.FLOAT, 1);
        MultiLayerNetwork student =
                Retention.attach(pretrained, RetentionConfiguration.builder().build());
        student.getLayerWiseConfigurations().setBackpropType(BackpropType.TruncatedBPTT);
        String truncated = assertThrows(IllegalArgumentException.class, () -> FinetuningRun.builder()
                        .student(student)
                        .teacher(Teacher.of(pretrained))
                        .iterator(batches(false, DataType.FLOAT, 1))
                        .accumulate(2)
                        .folder(folder)
                        .build())
                .getMessage();
        assertTrue(truncated.startsWith("accumulate: expected a student of standard backpropagation"), truncated);
    }

    @Test
    void batch_normalisation_by_the_minibatch_is_refused_and_held_one_is_not() {
        MultiLayerNetwork pretrained = Networks.stacked(
                DataType.FLOAT,
                1,
                new DenseLayer.Builder().nIn(Networks.INPUTS).nOut(5).build(),
                new BatchNormalization.Builder().nIn(5).nOut(5).build(),
                new OutputLayer.Builder(LossFunction.MCXENT)
                        .nIn(5)
                        .nOut(Networks.VOCABULARY)
                        .activation(Activation.SOFTMAX)
                        .build());
        MultiLayerNetwork student =
                Retention.attach(pretrained, RetentionConfiguration.builder().build());
        new AccumulatedGradients(student).close();
        HeldBatchNormalization.release(student.getLayerWiseConfigurations());
        String message = assertThrows(IllegalArgumentException.class, () -> new AccumulatedGradients(student))
                .getMessage();
        assertTrue(message.startsWith("accumulate: expected batch normalisation that holds its statistics"), message);
        assertTrue(message.contains(" 1, which normalises by each minibatch"), message);
    }
}
