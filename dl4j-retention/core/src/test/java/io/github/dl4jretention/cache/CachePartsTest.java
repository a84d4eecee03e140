package io.github.dl4jretention.cache;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.dl4jretention.Networks;
import io.github.dl4jretention.teacher.Teacher;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.DataSet;

/** Caches put together of parts, some of them damaged. */
class CachePartsTest {

    private final MultiLayerNetwork network = Networks.lstm(DataType.FLOAT, 1);
    private final List<DataSet> first = List.of(Networks.sequences(DataType.FLOAT, 9, 2));
    private final List<DataSet> second = List.of(Networks.sequences(DataType.FLOAT, 9, 3));

    @TempDir
    private Path folder;

    private CacheAssembly assembly(String name) {
        return TeacherCache.builder()
                .pretrained(network)
                .folder(folder.resolve(name))
                .shardBytes(300)
                .assembly();
    }

    private byte[] encoded(List<DataSet> batches) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        assembly("one")
                .parts()
                .encode(
                        batches.stream().map(DataSet::toMultiDataSet).iterator(),
                        Teacher.of(network),
                        new long[0],
                        out);
        return out.toByteArray();
    }

    private static CacheParts.Part part(byte[] bytes) {
        return () -> new ByteArrayInputStream(bytes);
    }

    private static TreeMap<String, byte[]> shards(CacheAssembly assembly) throws IOException {
        TreeMap<String, byte[]> found = new TreeMap<>();
        if (Files.exists(assembly.path())) {
            try (Stream<Path> files = Files.list(assembly.path())) {
                for (Path file :
                        files.filter(f -> f.toString().endsWith(".shard")).toList()) {
                    found.put(file.getFileName().toString(), Files.readAllBytes(file));
                }
            }
        }
        return found;
    }

    /** Nothing of it is in the cache, which is complete as soon as the part is whole. */
    @Test
    void a_damaged_part_leaves_no_shard() throws IOException {
        byte[] one = encoded(first);
        byte[] other = encoded(second);
        CacheAssembly whole = assembly("whole");
        whole.build(List.of(part(one), part(other))).close();
        assertTrue(shards(whole).size() > 4, shards(whole).keySet().toString());
        CacheAssembly before = assembly("before");
        assertThrows(IOException.class, () -> before.build(List.of(part(one), part(new byte[0]))));
        CacheAssembly mended = assembly("mended");
        Random random = new Random(1);
        for (int i = 0; i < 20; i++) {
            byte[] bad = other.clone();
            bad[i == 0 ? bad.length / 2 : random.nextInt(bad.length)] ^= (byte) (1 << random.nextInt(8));
            String message = assertThrows(IOException.class, () -> mended.build(List.of(part(one), part(bad))))
                    .getMessage();
            assertEquals(shards(before).keySet(), shards(mended).keySet());
            assertTrue(message.contains("part 2 of 2: expected it as it was written"), message);
            byte[] cut = Arrays.copyOf(other, random.nextInt(other.length));
            assertThrows(IOException.class, () -> mended.build(List.of(part(one), part(cut))));
            assertEquals(shards(before).keySet(), shards(mended).keySet());
        }
        mended.build(List.of(part(one), part(other))).close();
        TreeMap<String, byte[]> expected = shards(whole);
        TreeMap<String, byte[]> found = shards(mended);
        assertEquals(expected.keySet(), found.keySet());
        expected.forEach((name, bytes) -> assertArrayEquals(bytes, found.get(name), name));
    }
}
