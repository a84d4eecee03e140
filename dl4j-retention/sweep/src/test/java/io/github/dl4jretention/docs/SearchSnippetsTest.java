package io.github.dl4jretention.docs;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Averaged;
import io.github.dl4jretention.Averaging;
import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.baseline.Importance;
import io.github.dl4jretention.baseline.ImportanceEstimator;
import io.github.dl4jretention.baseline.KlTrustRegion;
import io.github.dl4jretention.baseline.Mixout;
import io.github.dl4jretention.baseline.PullToStart;
import io.github.dl4jretention.baseline.QuadraticPenalty;
import io.github.dl4jretention.baseline.ReplayIterator;
import io.github.dl4jretention.baseline.ReplayPart;
import io.github.dl4jretention.baseline.ReplayUnit;
import io.github.dl4jretention.baseline.SelfReplay;
import io.github.dl4jretention.checkpoint.FinetuningRun;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.sweep.Sweep;
import io.github.dl4jretention.sweep.SweepTexts;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.sweep.space.FinetuneMethod;
import io.github.dl4jretention.sweep.space.RetentionSpace;
import io.github.dl4jretention.sweep.space.Search;
import io.github.dl4jretention.sweep.task.Batches;
import io.github.dl4jretention.sweep.task.FinetuneModel;
import io.github.dl4jretention.sweep.task.FinetuneSpace;
import io.github.dl4jretention.sweep.task.RetentionScore;
import io.github.dl4jretention.sweep.task.SweepData;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Supplier;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;

/** What the docs show of sweeps and baselines; the samples' DocsTest compares the two. */
class SearchSnippetsTest {

    @TempDir
    private Path folder;

    private final MultiLayerNetwork pretrained = Networks.lstm(DataType.FLOAT, 1);
    private final int epochs = 1;

    private static DataSetIterator trainingIterator() {
        return new ExistingDataSetIterator(Networks.batches(DataType.FLOAT, 2, true));
    }

    @Test
    void sweeps() throws IOException {
        Batches validationTarget = SweepTexts.target(DataType.FLOAT, 1, 20);
        Batches validationSource = SweepTexts.source(DataType.FLOAT, 1, 30);
        Batches testTarget = SweepTexts.target(DataType.FLOAT, 1, 40);
        Batches testSource = SweepTexts.source(DataType.FLOAT, 1, 50);
        int steps = 5;
        // snippet
        SweepData data = new SweepData(
                Batches.of(() -> trainingIterator()), // target text to train on
                validationTarget,
                validationSource, // chosen on these
                testTarget,
                testSource); // reported on these

        Sweep sweep = Sweep.builder()
                .model(FinetuneModel.of(pretrained)) // a MultiLayerNetwork; also ComputationGraph and SameDiff
                .data(data)
                .space(FinetuneSpace.builder()
                        .retention(
                                RetentionSpace.builder().coefficient(0.03, 30).build())
                        .learningRates(3e-4, 1e-3)
                        .steps(steps)
                        .build())
                .search(Search.grid(12))
                .score(RetentionScore.constrained(0.02)) // nats per token of forgetting that you can accept
                .parallelism(2)
                .folder(folder.resolve("sweep"))
                .build();
        SweepOutcome outcome = sweep.run();
        outcome.recommended().ifPresent(best -> System.out.println(outcome.javaLine(best)));
        // end
        assertEquals(24, outcome.candidates().size());
        assertTrue(Files.exists(folder.resolve("sweep/report.html")));
    }

    /** Of a text in the alphabet of the test networks: each letter the class of the one before. */
    private static DataSetIterator tokens(String text) {
        INDArray features = Nd4j.zeros(1, Networks.INPUTS, text.length() - 1);
        INDArray labels = Nd4j.zeros(1, Networks.VOCABULARY, text.length() - 1);
        for (int t = 0; t < text.length() - 1; t++) {
            features.putScalar(0, text.charAt(t) - 'a', t, 1);
            labels.putScalar(0, text.charAt(t + 1) - 'a', t, 1);
        }
        return new ExistingDataSetIterator(List.of(new DataSet(features, labels)));
    }

    @Test
    void files_of_models_and_texts() throws IOException {
        File file = folder.resolve("model.zip").toFile();
        pretrained.save(file);
        String text = "abcbacb";
        File sameDiffFile = folder.resolve("model.sd").toFile();
        SweepTexts.graph(DataType.FLOAT).save(sameDiffFile, false);
        // snippet
        FinetuneModel model = FinetuneModel.of(MultiLayerNetwork.load(file, false)); // or ComputationGraph.load
        FinetuneModel sameDiffModel =
                FinetuneModel.of(SameDiff.load(sameDiffFile, false), "logits", "labels", "features"); // its variables
        Batches training = Batches.of(() -> tokens(text)); // a new DataSetIterator each time, of your tokenizer
        // end
        assertEquals(FinetuneModel.of(pretrained).sha256(), model.sha256());
        assertEquals("logits, labels labels, features features", sameDiffModel.outputs());
        assertTrue(model.losses(pretrained, training, training).target() > 0);
    }

    @Test
    void sweeps_of_baselines() throws IOException {
        SweepData data = SweepTexts.data(DataType.FLOAT);
        Supplier<DataSetIterator> trainingSource =
                () -> new ExistingDataSetIterator(Networks.batches(DataType.FLOAT, 3, true));
        // snippet
        SweepData withSource = data.withTrainingSource(Batches.of(trainingSource));
        FinetuneSpace methods = FinetuneSpace.builder()
                .methods(FinetuneMethod.RETENTION, FinetuneMethod.EWC, FinetuneMethod.REPLAY)
                .strengths(FinetuneMethod.EWC, 1, 10, 100)
                .strengths(FinetuneMethod.REPLAY, 0.1, 0.25)
                .build();
        // end
        SweepOutcome outcome = Sweep.builder()
                .model(FinetuneModel.of(pretrained))
                .data(withSource)
                .space(methods)
                .search(Search.grid(2))
                .folder(folder.resolve("sweep"))
                .build()
                .run();
        assertEquals(List.of(), outcome.failed());
        assertEquals(7, outcome.complete().size());
    }

    @Test
    void baselines() throws IOException {
        MultiLayerNetwork student =
                Retention.attach(pretrained, RetentionConfiguration.builder().build());
        DataSetIterator sourceIterator = new ExistingDataSetIterator(Networks.batches(DataType.FLOAT, 3, true));
        Teacher teacher = Teacher.of(pretrained);
        DataSetIterator target = trainingIterator();
        DataSetIterator source = sourceIterator;
        // snippet
        Importance fisher = ImportanceEstimator.of(pretrained).examples(256).fisher(sourceIterator, 1);
        fisher.save(folder.resolve("fisher.bin")); // you won't need the source text again
        QuadraticPenalty penalty = QuadraticPenalty.weighted(pretrained, fisher, 10.0);
        student.addListeners(penalty.listener()); // plain network, or student with retention
        // end
        // snippet
        MultiLayerNetwork tuned = FinetuningRun.builder()
                .student(student)
                .teacher(teacher)
                .iterator(target)
                .listener(penalty.listener()) // a listener on the student isn't called
                .folder(folder.resolve("run"))
                .build()
                .run();
        // end
        assertTrue(penalty.value(tuned) > 0);
        // snippet
        ReplayIterator replay = new ReplayIterator(target, source, 0.25, ReplayUnit.EXAMPLES, 1);
        student.fit(new TeacherIterator(replay, teacher, replay.divergenceOn(ReplayPart.TARGET)), epochs);
        // end
        Networks.assertMoved(pretrained.params(), student.params(), 1e-5);
    }

    @Test
    void self_replay() throws IOException {
        MultiLayerNetwork pretrained = Networks.languageModel(DataType.FLOAT, 1);
        DataSetIterator target = new ExistingDataSetIterator(
                List.of(Networks.text(DataType.FLOAT, 3, 5, 1), Networks.text(DataType.FLOAT, 3, 5, 2)));
        Teacher teacher = Teacher.of(pretrained);
        MultiLayerNetwork student =
                Retention.attach(pretrained, RetentionConfiguration.builder().build());
        // snippet
        SelfReplay written = SelfReplay.of(pretrained, target) // before anything is trained
                .count(256)
                .file(folder.resolve("written.json"))
                .build();
        ReplayIterator mixed = written.mixedInto(target, 0.25); // one written sequence beside three of the target
        student.fit(new TeacherIterator(mixed, teacher, mixed.divergenceWeights(0, 1)), epochs);
        // end
        Networks.assertMoved(pretrained.params(), student.params(), 1e-5);
    }

    @Test
    void mixed_with_the_start() {
        MultiLayerNetwork pretrained = Networks.languageModel(DataType.FLOAT, 1);
        DataSetIterator train = new ExistingDataSetIterator(List.of(Networks.text(DataType.FLOAT, 4, 5, 1)));
        MultiLayerNetwork student = pretrained.clone();
        int epochs = 2;
        // snippet
        try (Mixout mixout = Mixout.of(pretrained, 0.7, 1)) { // seven of ten are the start's, drawn anew each step
            student.fit(mixout.iterator(student, train), epochs); // train may be a TeacherIterator
        }
        // end
        Networks.assertMoved(pretrained.params(), student.params(), 1e-5);
    }

    @Test
    void steps_and_averages() throws IOException {
        MultiLayerNetwork pretrained = Networks.languageModel(DataType.FLOAT, 1);
        DataSetIterator iterator = new ExistingDataSetIterator(List.of(Networks.text(DataType.FLOAT, 3, 5, 1)));
        DataSetIterator validationTarget = new ExistingDataSetIterator(List.of(Networks.text(DataType.FLOAT, 3, 5, 2)));
        DataSetIterator validationSource = new ExistingDataSetIterator(List.of(Networks.text(DataType.FLOAT, 3, 5, 3)));
        Teacher teacher = Teacher.of(pretrained);
        MultiLayerNetwork student =
                Retention.attach(pretrained, RetentionConfiguration.builder().build());
        // snippet
        student.addListeners(PullToStart.of(pretrained, 0.001).listener()); // w = w + rho (w0 - w)
        KlTrustRegion region = KlTrustRegion.of(0.1); // at most 0.1 nats per token from the teacher
        student.addListeners(region.listener());
        // end
        // snippet
        Averaging averaging =
                Averaging.on(validationTarget, validationSource); // shares 0 to 1, a running average of decay 0.99
        Averaged<MultiLayerNetwork> averaged = Retention.finetune(student, teacher, iterator, epochs, averaging);
        averaged.points().forEach(System.out::println); // share, gain and forgetting of each
        averaged.model().save(folder.resolve("averaged.zip").toFile());
        // end
        assertTrue(averaged.points().size() > 20);
    }
}
