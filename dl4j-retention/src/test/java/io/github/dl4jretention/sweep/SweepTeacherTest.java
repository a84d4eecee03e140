package io.github.dl4jretention.sweep;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.cache.CacheCodec;
import io.github.dl4jretention.cache.TeacherCache;
import io.github.dl4jretention.sweep.outcome.SweepOutcome;
import io.github.dl4jretention.teacher.Teacher;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.buffer.DataType;

class SweepTeacherTest {

    @TempDir
    private Path folder;

    private SweepOutcome run(Teacher teacher, int parallelism, String name) throws IOException {
        return SweepTest.sweep(folder.resolve(name))
                .teacher(teacher)
                .parallelism(parallelism)
                .build()
                .run();
    }

    private TeacherCache cache(CacheCodec codec) throws IOException {
        return TeacherCache.builder()
                .pretrained(Networks.lstm(DataType.DOUBLE, 1))
                .folder(folder.resolve("cache"))
                .codec(codec)
                .data("target text")
                .build(SweepTexts.data(DataType.DOUBLE).training().iterator());
    }

    @Test
    void a_cache_stands_for_the_teacher_it_was_written_from() throws IOException {
        SweepOutcome live = run(Teacher.of(Networks.lstm(DataType.DOUBLE, 1)), 1, "live");
        TeacherCache half = cache(CacheCodec.half());
        SweepOutcome cached = run(half, 2, "cached");
        assertEquals(live.candidates().size(), cached.complete().size());
        for (int i = 0; i < live.candidates().size(); i++) {
            assertEquals(
                    live.candidates().get(i).validation().target(),
                    cached.candidates().get(i).validation().target(),
                    1e-3);
            assertEquals(
                    live.candidates().get(i).validation().source(),
                    cached.candidates().get(i).validation().source(),
                    1e-3);
        }
        assertEquals(SweepTest.essence(cached), SweepTest.essence(run(half, 1, "again")));
    }

    @Test
    void a_cache_of_samples_serves_all_candidates() throws IOException {
        SweepOutcome sampled = run(cache(CacheCodec.standard()), 2, "sampled");
        assertEquals(4, sampled.complete().size(), () -> sampled.failed().toString());
        assertTrue(sampled.recommended().isPresent());
    }
}
