// pgvector.js
//	node-postgres with the npm package pgvector, on columns indexed by togg.
//
// Each query of a test is answered by the index, and compared with distances
// that are computed here.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import pg from 'pg';
import Cursor from 'pg-cursor';
import pgvector from 'pgvector/pg';

const dims = 24;
const rows = 2000;

// As halfvec has it, to the last digit: multiples of 1/64 in [-1, 1).
const vectorOf = (id) =>
	Array.from({ length: dims }, (_, i) =>
		((Math.sin(id * 12.9898 + i * 78.233) * 43758.5453) % 1 * 64 | 0) / 64);

const all = Array.from({ length: rows }, (_, i) => ({ id: i + 1, embedding: vectorOf(i + 1) }));

const distance = (a, b) => Math.hypot(...a.map((x, i) => x - b[i]));

function nearest(query, limit, among = all) {
	return among
		.map(({ id, embedding }) => ({ id, d: distance(embedding, query) }))
		.sort((a, b) => a.d - b.d || a.id - b.id)
		.slice(0, limit)
		.map(({ id }) => id);
}

let client;

before(async () => {
	client = new pg.Client();
	await client.connect();
	await client.query('CREATE EXTENSION togg_pgvector CASCADE');
	await pgvector.registerTypes(client);
	await client.query(`CREATE TABLE items (
		id int PRIMARY KEY, embedding vector(${dims}), half halfvec(${dims}))`);
	await client.query('CREATE INDEX items_embedding ON items USING togg (embedding vector_l2_ops)');
	await client.query('CREATE INDEX items_half ON items USING togg (half halfvec_l2_ops)');

	// What follows must not depend on what the planner makes of a small table,
	// nor on what a search with a small pool happens to find.
	await client.query('SET enable_seqscan = off');
	await client.query('SET enable_sort = off');
	await client.query('SET togg.ef_search = 500');
});

after(async () => {
	await client.query('DROP TABLE items');
	await client.end();
});

test('insert', async () => {
	await client.query('BEGIN');
	for (const { id, embedding } of all)
		await client.query({
			name: 'insert',
			text: 'INSERT INTO items VALUES ($1, $2, $3)',
			values: [id, pgvector.toSql(embedding), pgvector.toSql(embedding)],
		});
	await client.query('COMMIT');

	for (const index of ['items_embedding', 'items_half']) {
		const info = await client.query('SELECT dimensions, rows FROM togg_index_info($1)', [index]);
		assert.deepEqual(info.rows, [{ dimensions: dims, rows: String(rows) }]);
	}
});

test('query', async () => {
	for (const column of ['embedding', 'half'])
		for (const id of [1, 77, 1234]) {
			const query = vectorOf(id + 0.5);
			const text = `SELECT id, ${column} AS found FROM items ORDER BY ${column} <-> $1 LIMIT 10`;
			const plan = await client.query(`EXPLAIN ${text}`, [pgvector.toSql(query)]);
			const found = await client.query(text, [pgvector.toSql(query)]);

			assert.match(plan.rows.map((row) => row['QUERY PLAN']).join('\n'),
				new RegExp(`Index Scan using items_${column}`));
			assert.deepEqual(found.rows.map((row) => row.id), nearest(query, 10));
			assert.deepEqual(found.rows[0].found, vectorOf(found.rows[0].id));
		}
});

test('prepared statement', async () => {
	// From the sixth execution on the server may keep one plan for all.
	for (let id = 1; id <= 12; id++) {
		const query = vectorOf(id + 0.25);
		const found = await client.query({
			name: 'nearest',
			text: 'SELECT id FROM items ORDER BY embedding <-> $1 LIMIT $2',
			values: [pgvector.toSql(query), 5],
			rowMode: 'array',
		});
		assert.deepEqual(found.rows.flat(), nearest(query, 5));
	}
});

test('cursor', async () => {
	const query = vectorOf(0.75);
	const cursor = client.query(new Cursor(
		'SELECT id FROM items WHERE id % 2 = 0 ORDER BY half <-> $1', [pgvector.toSql(query)]));
	const found = [];

	for (let i = 0; i < 4; i++)
		found.push(...(await cursor.read(7)).map((row) => row.id));
	await cursor.close();
	assert.deepEqual(found, nearest(query, 28, all.filter(({ id }) => id % 2 === 0)));
});

test('wrong dimensions are an error, and the connection goes on', async () => {
	await assert.rejects(
		client.query('SELECT id FROM items ORDER BY embedding <-> $1 LIMIT 1', [pgvector.toSql([1, 2])]),
		{ code: '22000' });
	await assert.rejects(
		client.query('INSERT INTO items VALUES (0, $1)', [pgvector.toSql([1, 2])]),
		{ code: '22000' });
	assert.equal((await client.query('SELECT 1 AS one')).rows[0].one, 1);
});
