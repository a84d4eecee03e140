package io.github.dl4jretention.samples.comparison;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ResultsFileTest {

    @TempDir
    private Path folder;

    private static Result row(String merge, double mergeStrength, double loss) {
        Scores scores = new Scores(loss, 1, 0, 0, Map.of());
        return new Result(
                "transformer",
                "SCALA",
                "plain",
                "",
                Double.NaN,
                merge,
                mergeStrength,
                0.1,
                0,
                1,
                2,
                4,
                scores,
                scores,
                1,
                1);
    }

    private static List<String> told(List<Result> results) {
        return results.stream()
                .map(result -> result.strengths() + " " + result.test().target())
                .toList();
    }

    @Test
    void rows_of_other_points_stay_and_those_of_the_same_are_replaced() throws IOException {
        Path file = folder.resolve("results.csv");
        new ResultsFile(file).put(List.of(row("", Double.NaN, 1), row("wise_ft", 0.5, 2)));
        new ResultsFile(file).put(List.of(row("", Double.NaN, 3), row("wise_ft", 0.7, 4)));
        assertEquals(List.of(" 3.0", "wise_ft 0.7 4.0", "wise_ft 0.5 2.0"), told(ResultsFile.read(file)));
    }

    @Test
    void of_several_files_every_point_counts_once_as_it_was_written_last() throws IOException {
        Path later = folder.resolve("results-2-of-2.csv");
        Path earlier = folder.resolve("results.csv");
        new ResultsFile(later).put(List.of(row("", Double.NaN, 3), row("wise_ft", 0.7, 4)));
        new ResultsFile(earlier).put(List.of(row("", Double.NaN, 1), row("wise_ft", 0.5, 2)));
        Files.setLastModifiedTime(later, FileTime.fromMillis(2_000_000));
        Files.setLastModifiedTime(earlier, FileTime.fromMillis(1_000_000));
        List<String> all = List.of(" 3.0", "wise_ft 0.7 4.0", "wise_ft 0.5 2.0");
        assertEquals(all, told(ResultsFile.readAll(folder)));
        Files.setLastModifiedTime(earlier, FileTime.fromMillis(3_000_000));
        assertEquals(List.of(" 1.0", "wise_ft 0.5 2.0", "wise_ft 0.7 4.0"), told(ResultsFile.readAll(folder)));
    }

    @Test
    void files_without_the_later_columns_are_read() throws IOException {
        Path file = folder.resolve("results.csv");
        ResultsFile.write(file, List.of(row("", Double.NaN, 1), row("wise_ft", 0.5, 2)));
        List<Result> expected = ResultsFile.read(file);
        List<String> lines = Files.readAllLines(file);
        assertTrue(lines.get(0).endsWith(",variant,warm_up"), lines.get(0));
        Files.write(
                file,
                lines.stream()
                        .map(line -> line.replaceFirst(",[^,]*,[^,]*$", ""))
                        .toList());
        assertEquals(expected, ResultsFile.read(file));
        new ResultsFile(file).put(List.of(row("wise_ft", 0.7, 4)));
        assertEquals(lines.get(0), Files.readAllLines(file).get(0));
    }

    @Test
    void columns_are_found_by_their_names() throws IOException {
        Path file = folder.resolve("results.csv");
        ResultsFile.write(file, List.of(row("", Double.NaN, 1), row("wise_ft", 0.5, 2)));
        List<Result> expected = ResultsFile.read(file);
        List<String> lines = Files.readAllLines(file);
        List<String> names = List.of(lines.get(0).split(","));
        int facts = names.indexOf("test_facts");
        assertTrue(facts > 0, names.toString());
        // The last column first, and none of facts.
        Files.write(
                file,
                lines.stream()
                        .map(line -> {
                            List<String> cells = new ArrayList<>(List.of(line.split(",", -1)));
                            cells.add(0, cells.remove(cells.size() - 1));
                            cells.remove(facts + 1);
                            return String.join(",", cells);
                        })
                        .toList());
        assertEquals(expected, ResultsFile.read(file));
        Files.write(file, lines.stream().map(line -> line + ",other").toList());
        assertThrows(IOException.class, () -> ResultsFile.read(file), "a column that would be lost");
        Files.write(
                file,
                lines.stream().map(line -> line.replaceFirst("^[^,]*,", "")).toList());
        assertThrows(IOException.class, () -> ResultsFile.read(file), "no model");
    }
}
