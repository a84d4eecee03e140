package io.github.dl4jretention.docs;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.checkpoint.FinetuningRun;
import io.github.dl4jretention.checkpoint.Provenance;
import io.github.dl4jretention.eval.TokenEvaluation;
import io.github.dl4jretention.listener.ReportCsv;
import io.github.dl4jretention.listener.ReportLog;
import io.github.dl4jretention.listener.RetentionTrainingListener;
import io.github.dl4jretention.loss.RetentionConfiguration;
import io.github.dl4jretention.loss.RetentionOutputLayer;
import io.github.dl4jretention.merge.Merge;
import io.github.dl4jretention.merge.MergeMethod;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import io.github.dl4jretention.teacher.TeacherMultiDataSetIterator;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.adapter.SingletonMultiDataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;
import org.nd4j.linalg.learning.config.Adam;

/** What README and docs show of networks; the samples' DocsTest compares the two. */
class NetworkSnippetsTest {

    private static final int epochs = 2;
    private static final RetentionConfiguration conf =
            RetentionConfiguration.builder().build();

    private final DataSetIterator trainIterator =
            new ExistingDataSetIterator(Networks.batches(DataType.FLOAT, 3, true));
    private final DataSetIterator testIterator =
            new ExistingDataSetIterator(List.of(Networks.sequences(DataType.FLOAT, 3, 9)));
    private final DataSetIterator sourceIterator =
            new ExistingDataSetIterator(List.of(Networks.sequences(DataType.FLOAT, 3, 10)));

    @TempDir
    private Path folder;

    private File file;

    @BeforeEach
    void save() throws IOException {
        file = folder.resolve("model.zip").toFile();
        Networks.lstm(DataType.FLOAT, 1).save(file);
    }

    @Test
    void readme() throws IOException {
        // snippet
        MultiLayerNetwork pretrained = Retention.withUpdater(MultiLayerNetwork.load(file, false), new Adam(3e-4));
        Teacher teacher = Teacher.of(pretrained); // a frozen copy
        RetentionConfiguration conf =
                RetentionConfiguration.builder().coefficient(1.0).build();
        MultiLayerNetwork student = Retention.attach(pretrained, conf); // same weights, new loss
        student.fit(new TeacherIterator(trainIterator, teacher), epochs); // trains as any DL4J network does
        MultiLayerNetwork tuned = Retention.detach(student); // an ordinary DL4J network again
        TokenEvaluation before = TokenEvaluation.of(pretrained, teacher, sourceIterator);
        TokenEvaluation after = TokenEvaluation.of(tuned, teacher, sourceIterator);
        System.out.println("forgotten: " + (after.crossEntropy() - before.crossEntropy()) + " nats per token");
        tuned.save(folder.resolve("tuned.zip").toFile());
        // end
        assertEquals(3 * Networks.TIME, after.tokens());
        assertEquals(0, before.divergence(), 1e-6);
        assertTrue(after.divergence() > 0);
    }

    @Test
    void models() throws IOException {
        MultiLayerNetwork pretrained = MultiLayerNetwork.load(file, true);
        DataSetIterator iterator = trainIterator;
        // snippet
        Teacher teacher = Teacher.of(pretrained);
        MultiLayerNetwork student = Retention.attach(pretrained, conf);
        student.fit(new TeacherIterator(iterator, teacher), epochs);
        MultiLayerNetwork plain = Retention.detach(student);
        // end
        Networks.assertMoved(pretrained.params(), plain.params(), 1e-5);
    }

    @Test
    void graphs() {
        ComputationGraph pretrained = Networks.graph(DataType.FLOAT, 1);
        MultiDataSetIterator iterator = graphIterator();
        // snippet
        Teacher teacher = Teacher.of(pretrained, "text");
        ComputationGraph student = Retention.attach(pretrained, conf, "text");
        student.fit(new TeacherMultiDataSetIterator(iterator, teacher), epochs);
        ComputationGraph plain = Retention.detach(student);
        // end
        Networks.assertMoved(pretrained.params(), plain.params(), 1e-5);
    }

    @Test
    void cache() throws IOException {
        MultiLayerNetwork pretrained = MultiLayerNetwork.load(file, true);
        MultiLayerNetwork student = Retention.attach(pretrained, conf);
        // snippet
        TeacherCache cache = TeacherCache.builder()
                .pretrained(pretrained) // or .teacher(teacher)
                .folder(folder.resolve("cache"))
                .data("corpus of May, windows of 64 bytes")
                .build(trainIterator); // one pass, once; later runs read it
        student.fit(new TeacherIterator(trainIterator, cache), epochs);
        // end
        Networks.assertMoved(pretrained.params(), student.params(), 1e-5);
    }

    @Test
    void provenance() throws IOException {
        MultiLayerNetwork pretrained = MultiLayerNetwork.load(file, true);
        MultiLayerNetwork student = Retention.attach(pretrained, conf);
        student.fit(new TeacherIterator(trainIterator, Teacher.of(pretrained)), 1);
        long seed = 1;
        // snippet
        Provenance provenance = Provenance.of(student, "Scala sources, 2023", seed);
        provenance.write(Retention.detach(student), folder.resolve("tuned.zip")); // with the model's own SHA-256
        System.out.println(Provenance.read(folder.resolve("tuned.zip")).toJson());
        // end
        assertEquals("Scala sources, 2023", provenance.data());
    }

    @Test
    void graph_runs() throws IOException {
        ComputationGraph pretrained = Networks.graph(DataType.FLOAT, 1);
        MultiDataSetIterator iterator = graphIterator();
        // snippet
        FinetuningRun<ComputationGraph> run = FinetuningRun.builder()
                .student(Retention.attach(pretrained, conf, "text")) // or another kind of student
                .teacher(Teacher.of(pretrained, "text"))
                .iterator(iterator)
                .epochs(3)
                .folder(folder.resolve("run"))
                .every(100) // iterations from one checkpoint to the next
                .data("Scala sources, 2023")
                .seed(1)
                .iterationsPerEpoch(1000) // for the time left; else known after the first epoch
                .report(50, new ReportLog())
                .build();
        ComputationGraph tuned = run.run();
        // end
        assertEquals(3, tuned.getIterationCount());
    }

    @Test
    void reports() throws IOException {
        MultiLayerNetwork pretrained = MultiLayerNetwork.load(file, true);
        MultiLayerNetwork student = Retention.attach(pretrained, conf);
        int iterations = 3;
        // snippet
        student.addListeners(RetentionTrainingListener.builder()
                .to(new ReportLog(iterations)) // to SLF4J; knows the time left from the number of iterations
                .to(new ReportCsv(folder.resolve("reports.csv"))) // appends to a file that is there
                .every(50)
                .build());
        // end
        student.fit(new TeacherIterator(trainIterator, Teacher.of(pretrained)), 1);
        assertTrue(Files.size(folder.resolve("reports.csv")) > 0);
    }

    @Test
    void guide() throws IOException {
        // snippet
        MultiLayerNetwork pretrained = Retention.withUpdater(MultiLayerNetwork.load(file, false), new Adam(3e-4));
        Teacher teacher = Teacher.of(pretrained);
        TokenEvaluation targetBefore = TokenEvaluation.of(pretrained, teacher, testIterator);
        TokenEvaluation sourceBefore = TokenEvaluation.of(pretrained, teacher, sourceIterator);
        // end
        // snippet
        MultiLayerNetwork student = Retention.attach(
                pretrained, RetentionConfiguration.builder().coefficient(1.0).build());
        student.fit(new TeacherIterator(trainIterator, teacher), epochs);
        // end
        // snippet
        MultiLayerNetwork tuned = Retention.detach(student);
        TokenEvaluation target = TokenEvaluation.of(tuned, teacher, testIterator);
        TokenEvaluation source = TokenEvaluation.of(tuned, teacher, sourceIterator);
        System.out.printf("gain       %.4f%n", targetBefore.crossEntropy() - target.crossEntropy());
        System.out.printf("forgetting %.4f%n", source.crossEntropy() - sourceBefore.crossEntropy());
        System.out.printf("KL         %.4f%n", source.divergence());
        System.out.printf("perplexity %.3f, before %.3f%n", source.perplexity(), sourceBefore.perplexity());
        // end
        assertEquals(0, sourceBefore.divergence(), 1e-6);
        assertTrue(source.divergence() > 0);
        // snippet
        MultiLayerNetwork merged = Merge.networks(MergeMethod.wiseFt(0.75))
                .base(pretrained)
                .model(tuned)
                .merge();
        // end
        double halfway = TokenEvaluation.of(merged, teacher, sourceIterator).divergence();
        assertTrue(halfway > 0 && halfway < source.divergence());
        // snippet
        MultiLayerNetwork base = Retention.withUpdater(pretrained, new Adam(3e-4), 50);
        // end
        MultiLayerNetwork warmed = Retention.attach(base, conf);
        warmed.fit(new TeacherIterator(trainIterator, teacher), 1);
        assertEquals(3e-4 * (warmed.getIterationCount() + 1) / 50, warmed.getLearningRate(0), 1e-12);
        // snippet
        tuned.save(folder.resolve("tuned.zip").toFile());
        // end
        assertTrue(Files.size(folder.resolve("tuned.zip")) > 0);
    }

    @Test
    void guide_of_graphs() throws IOException {
        Networks.graph(DataType.FLOAT, 1).save(file);
        MultiDataSetIterator trainIterator = graphIterator();
        MultiDataSetIterator testIterator = graphIterator();
        MultiDataSetIterator sourceIterator = graphIterator();
        // snippet
        ComputationGraph pretrained = Retention.withUpdater(ComputationGraph.load(file, false), new Adam(3e-4));
        Teacher teacher = Teacher.of(pretrained, "text");
        TokenEvaluation targetBefore = TokenEvaluation.of(pretrained, teacher, testIterator);
        TokenEvaluation sourceBefore = TokenEvaluation.of(pretrained, teacher, sourceIterator);

        ComputationGraph student = Retention.attach(pretrained, conf, "text");
        student.fit(new TeacherMultiDataSetIterator(trainIterator, teacher), epochs);

        ComputationGraph tuned = Retention.detach(student);
        TokenEvaluation target = TokenEvaluation.of(tuned, teacher, testIterator);
        TokenEvaluation source = TokenEvaluation.of(tuned, teacher, sourceIterator);
        tuned.save(folder.resolve("tuned.zip").toFile());
        // end
        assertEquals(0, sourceBefore.divergence(), 1e-6);
        assertTrue(source.divergence() > 0);
        assertTrue(target.crossEntropy() < targetBefore.crossEntropy());
        assertTrue(Files.size(folder.resolve("tuned.zip")) > 0);
    }

    @Test
    void migration() throws IOException {
        MultiLayerNetwork plain = before();
        MultiLayerNetwork retained = after();
        assertFalse(plain.getLayerWiseConfigurations().getConf(1).getLayer() instanceof RetentionOutputLayer);
        Networks.assertMoved(plain.params(), retained.params(), 1e-7);
    }

    private MultiLayerNetwork before() throws IOException {
        // snippet
        MultiLayerNetwork network = MultiLayerNetwork.load(file, true);
        network.fit(trainIterator, epochs);
        network.save(folder.resolve("tuned.zip").toFile());
        // end
        return network;
    }

    private MultiLayerNetwork after() throws IOException {
        // snippet
        MultiLayerNetwork network = MultiLayerNetwork.load(file, true);
        Teacher teacher = Teacher.of(network);
        MultiLayerNetwork student = Retention.attach(network, conf);
        student.fit(new TeacherIterator(trainIterator, teacher), epochs);
        Retention.detach(student).save(folder.resolve("tuned.zip").toFile());
        // end
        return student;
    }

    private static MultiDataSetIterator graphIterator() {
        return new SingletonMultiDataSetIterator(Networks.graphBatch(DataType.FLOAT, 3, 1));
    }
}
