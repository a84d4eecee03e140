package io.github.dl4jretention.checkpoint;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.Retention;
import io.github.dl4jretention.cache.CacheCodec;
import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.teacher.Teacher;
import io.github.dl4jretention.teacher.TeacherIterator;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.linalg.api.buffer.DataType;

/**
 * Wrote the files beside it with the test classes of commit 9053c36, the first version. It doesn't compile with later
 * ones.
 */
public final class MakeFiles {

    private MakeFiles() {}

    public static void main(String[] args) throws IOException {
        Path folder = Path.of(args[0]);
        for (Kind kind : Kind.values()) {
            Path run = folder.resolve(kind.name().toLowerCase());
            Object model = kind.builder(run).keep(1).build().run();
            Files.deleteIfExists(run.resolve("run.lock"));
            if (model instanceof MultiLayerNetwork student) {
                student.save(folder.resolve("student.zip").toFile(), true);
                Provenance.read(folder.resolve("student.zip"))
                        .write(Retention.detach(student), folder.resolve("tuned.zip"));
            } else if (model instanceof SameDiff student) {
                student.save(folder.resolve("student.fb").toFile(), true);
            }
        }
        MultiLayerNetwork pretrained = Networks.lstm(DataType.FLOAT, 1);
        for (String codec : new String[] {"sample:32", "draws:8", "topK:3"}) {
            TeacherCache cache = TeacherCache.builder()
                    .pretrained(pretrained)
                    .folder(folder.resolve("cache-" + codec.replace(":", "")))
                    .data("random sequences")
                    .codec(CacheCodec.of(codec))
                    .build(new ExistingDataSetIterator(Networks.batches(DataType.FLOAT, 3, true)));
            System.out.println(cache.statistics());
        }
        System.exit(0);
    }
}
